-- Whoever remembers for a moment what a caller may do hears of a change when it is committed, whoever made it: the API, an import, or an operator
-- in the database itself. Of users, what a login writes is no change of rights.
CREATE FUNCTION tell_changes_of_rights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('drover_rights', '');
  RETURN NULL;
END
$$;--> statement-breakpoint
CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF project, username, email, roles, claims ON users FOR EACH STATEMENT EXECUTE FUNCTION tell_changes_of_rights();--> statement-breakpoint
CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON roles FOR EACH STATEMENT EXECUTE FUNCTION tell_changes_of_rights();--> statement-breakpoint
CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION tell_changes_of_rights();--> statement-breakpoint
CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON identity_rules FOR EACH STATEMENT EXECUTE FUNCTION tell_changes_of_rights();--> statement-breakpoint
CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON identity_providers FOR EACH STATEMENT EXECUTE FUNCTION tell_changes_of_rights();--> statement-breakpoint
CREATE TRIGGER rights_changed AFTER DELETE OR TRUNCATE OR UPDATE OF issuer, subject, user_id ON identities FOR EACH STATEMENT EXECUTE FUNCTION tell_changes_of_rights();
