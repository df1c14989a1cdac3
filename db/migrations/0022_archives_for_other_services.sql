CREATE TABLE "image_exports" (
	"image_version_id" uuid NOT NULL,
	"store_id" uuid NOT NULL,
	"pack_key" text NOT NULL,
	"pack_bytes" bigint NOT NULL,
	"md5" text NOT NULL,
	"digest" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "image_exports_store_id_pack_key_pk" PRIMARY KEY("store_id","pack_key")
);
--> statement-breakpoint
ALTER TABLE "image_exports" ADD CONSTRAINT "image_exports_image_version_id_image_versions_id_fk" FOREIGN KEY ("image_version_id") REFERENCES "public"."image_versions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "image_exports" ADD CONSTRAINT "image_exports_store_id_stores_id_fk" FOREIGN KEY ("store_id") REFERENCES "public"."stores"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "image_exports_version" ON "image_exports" USING btree ("image_version_id");