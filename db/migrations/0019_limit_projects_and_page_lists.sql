ALTER TABLE "projects" ADD COLUMN "max_machines" integer;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "max_vcpus" integer;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "max_memory_bytes" bigint;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "max_storage_bytes" bigint;--> statement-breakpoint
CREATE INDEX "machines_page" ON "machines" USING btree ("project","created_at","id") WHERE "machines"."retired_at" is null;--> statement-breakpoint
CREATE INDEX "operations_page" ON "operations" USING btree ("project","created_at","id");