CREATE SEQUENCE "public"."fences" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "api_keys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"key" text NOT NULL,
	"secret_hash" text NOT NULL,
	"user_id" text,
	"expires_at" timestamp with time zone,
	"revoked_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit" (
	"id" uuid PRIMARY KEY NOT NULL,
	"number" bigint,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"subject" text NOT NULL,
	"outcome" text NOT NULL,
	"operation_id" uuid,
	"request_id" text,
	"previous_hash" text,
	"hash" text
);
--> statement-breakpoint
CREATE TABLE "claims" (
	"id" text PRIMARY KEY NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"internal" boolean DEFAULT false NOT NULL,
	"group" text DEFAULT 'Custom' NOT NULL,
	"resource" text DEFAULT '' NOT NULL,
	"action" text DEFAULT '' NOT NULL
);
--> statement-breakpoint
CREATE TABLE "enrolment_tokens" (
	"hash" text PRIMARY KEY NOT NULL,
	"host_name" text NOT NULL,
	"labels" text[] DEFAULT '{}'::text[] NOT NULL,
	"created_by" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"used_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" uuid PRIMARY KEY NOT NULL,
	"number" bigint,
	"type" text NOT NULL,
	"name" text NOT NULL,
	"subject_id" text NOT NULL,
	"operation_id" uuid,
	"project" text DEFAULT 'default' NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"body" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "holds" (
	"kind" text NOT NULL,
	"subject_id" text NOT NULL,
	"operation_id" uuid NOT NULL,
	"mode" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "holds_kind_subject_id_operation_id_pk" PRIMARY KEY("kind","subject_id","operation_id")
);
--> statement-breakpoint
CREATE TABLE "hosts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"name" text NOT NULL,
	"hardware_id" text NOT NULL,
	"public_key" text NOT NULL,
	"labels" text[] DEFAULT '{}'::text[] NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"overcommit_cpu" real DEFAULT 1 NOT NULL,
	"overcommit_memory" real DEFAULT 1 NOT NULL,
	"facts" jsonb,
	"cached" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"session" uuid,
	"boot_id" text,
	"sequence" bigint DEFAULT 0 NOT NULL,
	"last_report_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "hub" (
	"id" uuid PRIMARY KEY NOT NULL,
	"master_key_check" "bytea",
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"caller" text NOT NULL,
	"route" text NOT NULL,
	"key" text NOT NULL,
	"request_hash" text NOT NULL,
	"operation_id" uuid NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotency_keys_caller_route_key_pk" PRIMARY KEY("caller","route","key")
);
--> statement-breakpoint
CREATE TABLE "image_versions" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"catalog_id" text NOT NULL,
	"version" text NOT NULL,
	"architecture" text NOT NULL,
	"kind" text NOT NULL,
	"guest_os" text,
	"description" text DEFAULT '' NOT NULL,
	"tags" text[] DEFAULT '{}'::text[] NOT NULL,
	"digest" text NOT NULL,
	"generation" integer NOT NULL,
	"store_id" uuid NOT NULL,
	"logical_bytes" bigint NOT NULL,
	"allocated_bytes" bigint NOT NULL,
	"stored_bytes" bigint NOT NULL,
	"new_bytes" bigint NOT NULL,
	"vcpus" integer,
	"memory_bytes" bigint,
	"minimum" jsonb,
	"probe" jsonb NOT NULL,
	"required_roles" text[] DEFAULT '{}'::text[] NOT NULL,
	"required_claims" text[] DEFAULT '{}'::text[] NOT NULL,
	"tainted_by" text,
	"tainted_at" timestamp with time zone,
	"untainted_by" text,
	"revoked_by" text,
	"revoked_at" timestamp with time zone,
	"downloads" integer DEFAULT 0 NOT NULL,
	"last_downloaded_at" timestamp with time zone,
	"last_downloaded_by" text,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "intents" (
	"operation_id" uuid PRIMARY KEY NOT NULL,
	"workflow_type" text NOT NULL,
	"workflow_input" jsonb NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "keys" (
	"id" text PRIMARY KEY NOT NULL,
	"purpose" text NOT NULL,
	"wrapped" "bytea" NOT NULL,
	"public" jsonb,
	"current" boolean DEFAULT true NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "machines" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"name" text NOT NULL,
	"owner" text NOT NULL,
	"host_id" uuid,
	"epoch" integer DEFAULT 1 NOT NULL,
	"origin" text NOT NULL,
	"image_version_id" uuid,
	"image" text,
	"digest" text,
	"kind" text NOT NULL,
	"guest_os" text,
	"desired" text NOT NULL,
	"observed" text NOT NULL,
	"observed_at" timestamp with time zone,
	"vcpus" integer NOT NULL,
	"memory_bytes" bigint NOT NULL,
	"disk_bytes" bigint NOT NULL,
	"mac_address" text,
	"addresses" text[] DEFAULT '{}'::text[] NOT NULL,
	"bundle_path" text,
	"description" text DEFAULT '' NOT NULL,
	"labels" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"expires_at" timestamp with time zone,
	"retired_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "observations" (
	"host_id" uuid NOT NULL,
	"machine_id" uuid NOT NULL,
	"facts" jsonb NOT NULL,
	"first_seen_at" timestamp with time zone DEFAULT now() NOT NULL,
	"seen_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "observations_host_id_machine_id_pk" PRIMARY KEY("host_id","machine_id")
);
--> statement-breakpoint
CREATE TABLE "operations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"verb" text NOT NULL,
	"state" text DEFAULT 'pending' NOT NULL,
	"subject" text NOT NULL,
	"actor" text NOT NULL,
	"actor_id" text NOT NULL,
	"host_id" uuid,
	"machine_id" uuid,
	"image" text,
	"on_fault" text NOT NULL,
	"workflow_id" text NOT NULL,
	"input" jsonb NOT NULL,
	"sealed" "bytea",
	"fence" bigint DEFAULT 0 NOT NULL,
	"fault" jsonb,
	"result" jsonb,
	"request_id" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "outputs" (
	"operation_id" uuid NOT NULL,
	"fence" bigint NOT NULL,
	"line" bigint NOT NULL,
	"stream" text NOT NULL,
	"text" text NOT NULL,
	CONSTRAINT "outputs_operation_id_fence_line_pk" PRIMARY KEY("operation_id","fence","line")
);
--> statement-breakpoint
CREATE TABLE "placements" (
	"machine_id" uuid NOT NULL,
	"epoch" integer NOT NULL,
	"host_id" uuid NOT NULL,
	"vcpus" integer NOT NULL,
	"memory_bytes" bigint NOT NULL,
	"disk_bytes" bigint NOT NULL,
	"macos" boolean NOT NULL,
	"runs" boolean NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "placements_machine_id_epoch_pk" PRIMARY KEY("machine_id","epoch")
);
--> statement-breakpoint
CREATE TABLE "projects" (
	"id" text PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "roles" (
	"id" text PRIMARY KEY NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"internal" boolean DEFAULT false NOT NULL,
	"claims" text[] DEFAULT '{}'::text[] NOT NULL
);
--> statement-breakpoint
CREATE TABLE "steps" (
	"operation_id" uuid NOT NULL,
	"name" text NOT NULL,
	"position" integer NOT NULL,
	"state" text NOT NULL,
	"attempt" integer DEFAULT 1 NOT NULL,
	"fence" bigint DEFAULT 0 NOT NULL,
	"line" bigint DEFAULT 0 NOT NULL,
	"started_at" timestamp with time zone,
	"ended_at" timestamp with time zone,
	"progress" jsonb,
	"fault" jsonb,
	CONSTRAINT "steps_operation_id_name_pk" PRIMARY KEY("operation_id","name")
);
--> statement-breakpoint
CREATE TABLE "stores" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"location" text NOT NULL,
	"sealed" "bytea",
	"is_default" boolean DEFAULT false NOT NULL,
	"state" text DEFAULT 'ready' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" text PRIMARY KEY NOT NULL,
	"project" text DEFAULT 'default' NOT NULL,
	"username" text NOT NULL,
	"name" text NOT NULL,
	"email" text NOT NULL,
	"password_hash" text,
	"roles" text[] DEFAULT '{}'::text[] NOT NULL,
	"claims" text[] DEFAULT '{}'::text[] NOT NULL,
	"failed_logins" integer DEFAULT 0 NOT NULL,
	"last_failed_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "holds" ADD CONSTRAINT "holds_operation_id_operations_id_fk" FOREIGN KEY ("operation_id") REFERENCES "public"."operations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "image_versions" ADD CONSTRAINT "image_versions_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "image_versions" ADD CONSTRAINT "image_versions_store_id_stores_id_fk" FOREIGN KEY ("store_id") REFERENCES "public"."stores"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "intents" ADD CONSTRAINT "intents_operation_id_operations_id_fk" FOREIGN KEY ("operation_id") REFERENCES "public"."operations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "machines" ADD CONSTRAINT "machines_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "machines" ADD CONSTRAINT "machines_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "machines" ADD CONSTRAINT "machines_image_version_id_image_versions_id_fk" FOREIGN KEY ("image_version_id") REFERENCES "public"."image_versions"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "observations" ADD CONSTRAINT "observations_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "operations" ADD CONSTRAINT "operations_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outputs" ADD CONSTRAINT "outputs_operation_id_operations_id_fk" FOREIGN KEY ("operation_id") REFERENCES "public"."operations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "placements" ADD CONSTRAINT "placements_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "steps" ADD CONSTRAINT "steps_operation_id_operations_id_fk" FOREIGN KEY ("operation_id") REFERENCES "public"."operations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "stores" ADD CONSTRAINT "stores_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_project_projects_id_fk" FOREIGN KEY ("project") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "api_keys_name" ON "api_keys" USING btree (lower("name"));--> statement-breakpoint
CREATE UNIQUE INDEX "audit_number" ON "audit" USING btree ("number");--> statement-breakpoint
CREATE INDEX "audit_unnumbered" ON "audit" USING btree ("at") WHERE "audit"."number" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "events_number" ON "events" USING btree ("number");--> statement-breakpoint
CREATE INDEX "events_unnumbered" ON "events" USING btree ("at") WHERE "events"."number" is null;--> statement-breakpoint
CREATE INDEX "events_operation" ON "events" USING btree ("operation_id","number");--> statement-breakpoint
CREATE UNIQUE INDEX "holds_exclusive" ON "holds" USING btree ("kind","subject_id") WHERE "holds"."mode" = 'exclusive';--> statement-breakpoint
CREATE UNIQUE INDEX "hosts_name" ON "hosts" USING btree (lower("name"));--> statement-breakpoint
CREATE UNIQUE INDEX "hosts_hardware" ON "hosts" USING btree ("hardware_id");--> statement-breakpoint
CREATE UNIQUE INDEX "image_versions_key" ON "image_versions" USING btree ("project","catalog_id","version","architecture");--> statement-breakpoint
CREATE INDEX "image_versions_digest" ON "image_versions" USING btree ("digest");--> statement-breakpoint
CREATE INDEX "keys_purpose" ON "keys" USING btree ("purpose");--> statement-breakpoint
CREATE UNIQUE INDEX "machines_living_name" ON "machines" USING btree (lower("name")) WHERE "machines"."retired_at" is null;--> statement-breakpoint
CREATE INDEX "machines_host" ON "machines" USING btree ("host_id");--> statement-breakpoint
CREATE INDEX "machines_expiry" ON "machines" USING btree ("expires_at") WHERE "machines"."retired_at" is null;--> statement-breakpoint
CREATE INDEX "operations_state" ON "operations" USING btree ("state");--> statement-breakpoint
CREATE INDEX "operations_machine" ON "operations" USING btree ("machine_id");--> statement-breakpoint
CREATE INDEX "operations_created" ON "operations" USING btree ("created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "operations_workflow" ON "operations" USING btree ("workflow_id");--> statement-breakpoint
CREATE INDEX "placements_host" ON "placements" USING btree ("host_id");--> statement-breakpoint
CREATE UNIQUE INDEX "stores_name" ON "stores" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "stores_location" ON "stores" USING btree ("location");--> statement-breakpoint
CREATE UNIQUE INDEX "users_username" ON "users" USING btree (lower("username"));--> statement-breakpoint
CREATE UNIQUE INDEX "users_email" ON "users" USING btree (lower("email"));