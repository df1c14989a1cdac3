ALTER TABLE "hub" ADD COLUMN "audit_dropped_number" bigint;--> statement-breakpoint
ALTER TABLE "hub" ADD COLUMN "audit_dropped_hash" text;