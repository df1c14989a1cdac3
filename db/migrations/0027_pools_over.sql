DROP INDEX "pooled_machines_pool";--> statement-breakpoint
ALTER TABLE "pooled_machines" ADD COLUMN "is_over" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "pooled_machines_made" ON "pooled_machines" USING btree ("pool_id","created_at");--> statement-breakpoint
CREATE INDEX "pooled_machines_living" ON "pooled_machines" USING btree ("pool_id") WHERE not "pooled_machines"."is_over";