ALTER TABLE "machines" ADD COLUMN "pending" jsonb;--> statement-breakpoint
CREATE INDEX "machines_pending" ON "machines" USING btree ("id") WHERE "machines"."pending" is not null;