DROP INDEX "machines_host";--> statement-breakpoint
CREATE INDEX "events_at" ON "events" USING btree ("at");--> statement-breakpoint
CREATE INDEX "operations_open" ON "operations" USING btree ("id") WHERE "operations"."state" not in ('done', 'failed', 'cancelled');--> statement-breakpoint
CREATE INDEX "machines_host" ON "machines" USING btree ("host_id") WHERE "machines"."retired_at" is null;