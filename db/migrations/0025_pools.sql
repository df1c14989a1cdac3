CREATE TABLE "pooled_machines" (
	"machine_id" uuid PRIMARY KEY NOT NULL,
	"pool_id" uuid NOT NULL,
	"revision" integer NOT NULL,
	"lease_id" uuid,
	"leased_by" text,
	"leased_by_id" text,
	"leased_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "pools" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"name" text NOT NULL,
	"owner" text NOT NULL,
	"created_by" text NOT NULL,
	"holder" jsonb NOT NULL,
	"image" jsonb NOT NULL,
	"vcpus" integer,
	"memory_bytes" bigint,
	"host_labels" text[] DEFAULT '{}'::text[] NOT NULL,
	"labels" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"minimum_idle" integer NOT NULL,
	"maximum" integer NOT NULL,
	"lease_seconds" integer NOT NULL,
	"idle_state" text NOT NULL,
	"required_roles" text[] DEFAULT '{}'::text[] NOT NULL,
	"required_claims" text[] DEFAULT '{}'::text[] NOT NULL,
	"revision" integer DEFAULT 1 NOT NULL,
	"revised_at" timestamp with time zone DEFAULT now() NOT NULL,
	"state" text DEFAULT 'ready' NOT NULL,
	"ends_leases" boolean DEFAULT false NOT NULL,
	"refused" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "pooled_machines" ADD CONSTRAINT "pooled_machines_machine_id_machines_id_fk" FOREIGN KEY ("machine_id") REFERENCES "public"."machines"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "pooled_machines" ADD CONSTRAINT "pooled_machines_pool_id_pools_id_fk" FOREIGN KEY ("pool_id") REFERENCES "public"."pools"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "pools" ADD CONSTRAINT "pools_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "pooled_machines_pool" ON "pooled_machines" USING btree ("pool_id");--> statement-breakpoint
CREATE UNIQUE INDEX "pooled_machines_lease" ON "pooled_machines" USING btree ("lease_id");--> statement-breakpoint
CREATE UNIQUE INDEX "pools_name" ON "pools" USING btree ("project",lower("name"));