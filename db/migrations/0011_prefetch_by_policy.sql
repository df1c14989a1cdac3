CREATE TABLE "prefetch_policies" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"name" text NOT NULL,
	"image" jsonb NOT NULL,
	"host_ids" text[] DEFAULT '{}'::text[] NOT NULL,
	"labels" text[] DEFAULT '{}'::text[] NOT NULL,
	"all_hosts" boolean DEFAULT false NOT NULL,
	"on_what" text NOT NULL,
	"every_seconds" integer,
	"at_once" integer NOT NULL,
	"holder" jsonb NOT NULL,
	"created_by" text NOT NULL,
	"created_by_id" text NOT NULL,
	"last_digest" text,
	"last_started_at" timestamp with time zone,
	"last_operation_id" uuid,
	"problem" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "prefetch_policies" ADD CONSTRAINT "prefetch_policies_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "prefetch_policies_name" ON "prefetch_policies" USING btree ("project",lower("name"));