ALTER TABLE "hosts" ADD COLUMN "inventory_after" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "acted_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "seen_boot" text;--> statement-breakpoint
ALTER TABLE "machines" ADD COLUMN "drift" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "observations" ADD COLUMN "told_standing" text;