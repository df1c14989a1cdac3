CREATE TABLE "catalog_managers" (
	"id" text PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"name" text NOT NULL,
	"url" text NOT NULL,
	"internal" boolean DEFAULT false NOT NULL,
	"active" boolean DEFAULT true NOT NULL,
	"authentication_method" text DEFAULT '' NOT NULL,
	"sealed" "bytea",
	"global" boolean DEFAULT false NOT NULL,
	"required_claims" text[] DEFAULT '{}'::text[] NOT NULL,
	"owner_id" text,
	"trusted" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "catalog_managers" ADD CONSTRAINT "catalog_managers_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "catalog_managers" ADD CONSTRAINT "catalog_managers_owner_id_users_id_fk" FOREIGN KEY ("owner_id") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "catalog_managers_owner" ON "catalog_managers" USING btree ("owner_id");