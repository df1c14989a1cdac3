CREATE TABLE "condemned_objects" (
	"store_id" uuid NOT NULL,
	"key" text NOT NULL,
	"bytes" bigint NOT NULL,
	"condemned_at" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
	"removing_at" timestamp with time zone,
	CONSTRAINT "condemned_objects_store_id_key_pk" PRIMARY KEY("store_id","key")
);
--> statement-breakpoint
CREATE TABLE "damaged_objects" (
	"store_id" uuid NOT NULL,
	"key" text NOT NULL,
	"problem" text NOT NULL,
	"digests" text[] DEFAULT '{}'::text[] NOT NULL,
	"found_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "damaged_objects_store_id_key_pk" PRIMARY KEY("store_id","key")
);
--> statement-breakpoint
CREATE TABLE "retention_rules" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"catalog_id" text DEFAULT '' NOT NULL,
	"keep_newest" integer,
	"keep_tagged" boolean DEFAULT true NOT NULL,
	"keep_pulled_days" integer,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "store_care" (
	"store_id" uuid PRIMARY KEY NOT NULL,
	"identity" uuid,
	"collected_at" timestamp with time zone,
	"scrubbed_at" timestamp with time zone,
	"scrub_next" integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
ALTER TABLE "image_versions" ADD COLUMN "damaged_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "image_versions" ADD COLUMN "damage" text;--> statement-breakpoint
ALTER TABLE "condemned_objects" ADD CONSTRAINT "condemned_objects_store_id_stores_id_fk" FOREIGN KEY ("store_id") REFERENCES "public"."stores"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "damaged_objects" ADD CONSTRAINT "damaged_objects_store_id_stores_id_fk" FOREIGN KEY ("store_id") REFERENCES "public"."stores"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "retention_rules" ADD CONSTRAINT "retention_rules_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "store_care" ADD CONSTRAINT "store_care_store_id_stores_id_fk" FOREIGN KEY ("store_id") REFERENCES "public"."stores"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "retention_rules_catalog" ON "retention_rules" USING btree ("project","catalog_id");