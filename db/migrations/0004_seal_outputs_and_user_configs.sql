ALTER TABLE "outputs" ALTER COLUMN "text" SET DEFAULT '';--> statement-breakpoint
ALTER TABLE "hub" ADD COLUMN "master_key_since" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "outputs" ADD COLUMN "sealed" "bytea";--> statement-breakpoint
ALTER TABLE "outputs" ADD COLUMN "bytes" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "user_configs" ADD COLUMN "sealed" "bytea";