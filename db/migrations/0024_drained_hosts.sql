CREATE TABLE "maintenance_windows" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"host_ids" text[] DEFAULT '{}'::text[] NOT NULL,
	"labels" text[] DEFAULT '{}'::text[] NOT NULL,
	"days" text[] DEFAULT '{}'::text[] NOT NULL,
	"starts_at" text NOT NULL,
	"minutes" integer NOT NULL,
	"zone" text NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "cordoned" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "draining" uuid;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "maintenance_until" timestamp with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "maintenance_windows_name" ON "maintenance_windows" USING btree (lower("name"));