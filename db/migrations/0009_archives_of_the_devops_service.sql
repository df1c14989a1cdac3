CREATE TABLE "image_archives" (
	"image_version_id" uuid PRIMARY KEY NOT NULL,
	"store_id" uuid NOT NULL,
	"pack_key" text NOT NULL,
	"pack_bytes" bigint NOT NULL,
	"md5" text,
	"logical_bytes" bigint NOT NULL,
	"exact" boolean NOT NULL,
	"measured" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "image_archives" ADD CONSTRAINT "image_archives_image_version_id_image_versions_id_fk" FOREIGN KEY ("image_version_id") REFERENCES "public"."image_versions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "image_archives" ADD CONSTRAINT "image_archives_store_id_stores_id_fk" FOREIGN KEY ("store_id") REFERENCES "public"."stores"("id") ON DELETE no action ON UPDATE no action;