ALTER TABLE "hosts" ADD COLUMN "told_state" text DEFAULT 'enrolled' NOT NULL;--> statement-breakpoint
ALTER TABLE "operations" ADD COLUMN "told_lost" boolean DEFAULT false NOT NULL;