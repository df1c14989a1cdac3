ALTER TABLE "stores" ADD COLUMN "read_only" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "stores" ADD COLUMN "max_bytes_per_second" bigint;--> statement-breakpoint
ALTER TABLE "stores" ADD COLUMN "max_requests" integer;