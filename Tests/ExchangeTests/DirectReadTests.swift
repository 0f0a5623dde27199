// What the server's role may not touch: every table that holds personal data, credentials or the log, by every kind of statement.
import City
import Postgres
import Testing

/// Tables of these schemas that stoa_app may read, with the reason.
private let readable: Set<String> = [
    "register.attribute",  // the list of kinds of data
    "register.key_check",  // a sealed test value, no person's
    "access_log.staff_reason", "access_log.checkpoint", "access_log.tile",  // public
    "access_log.cosignature", "access_log.confirmation", "access_log.standing_halt",  // what witnesses said of public heads
    "consent.organisation", "consent.processing_activity", "consent.policy",  // what pages show to everybody
    "web.idempotency_key",  // the times alone
]
/// Tables that it may insert into, and no more.
private let insertable: Set<String> = [
    "register.import_staging", "access_log.checkpoint", "access_log.cosignature", "access_log.confirmation", "register.key_check",
]

private let schemas = ["register", "access_log", "consent", "exchange", "questions", "web", "identity", "delivery"]

@Suite("Direct reads with the server's role")
struct DirectReadTests {
    @Test("Personal data, credentials, consent and the log answer permission denied to every statement")
    func permissionDenied() async throws {
        let city = try await CityFixture.make()
        _ = try await city.resident()
        let tables = try await city.owner.query(
            OneValue(
                """
                SELECT format('%I.%I %I %s %s', n.nspname, c.relname, (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attgenerated = '' ORDER BY a.attnum DESC LIMIT 1),
                    c.relkind, pg_relation_is_updatable(c.oid, false) <> 0)
                FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = ANY (\(schemas)) AND c.relkind IN ('r', 'p', 'v', 'm')
                """, of: String.self))
        #expect(tables.count > 20)
        for entry in tables {
            let parts = entry.split(separator: " ").map(String.init)
            let (table, column) = (parts[0], parts[1])
            if !readable.contains(table) {
                try await expectDenied("SELECT * FROM \(unsafeRaw: table)", city)
                try await expectDenied("SELECT count(*) FROM \(unsafeRaw: table)", city)
                try await expectDenied("COPY \(unsafeRaw: table) TO STDOUT", city)
            }
            // Nor can a view that joins tables be written, by anybody: PostgreSQL says that first as well.
            if parts[2] == "v", parts[3] == "f" { continue }
            if table == "web.idempotency_key" { continue }
            try await expectDenied("UPDATE \(unsafeRaw: table) SET \(unsafeRaw: column) = \(unsafeRaw: column)", city)
            try await expectDenied("DELETE FROM \(unsafeRaw: table)", city)
            // Of a view there is nothing to truncate, which PostgreSQL says before it looks at rights.
            if parts[2] != "v" { try await expectDenied("TRUNCATE \(unsafeRaw: table)", city) }
            if !insertable.contains(table) { try await expectDenied("INSERT INTO \(unsafeRaw: table) DEFAULT VALUES", city) }
        }
        #expect(try await city.entryCount() == 0)
    }

    @Test("The functions behind the door are closed too")
    func functions() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let activity = try await city.activity(city.organisation("clinic"), "care", attributes: ["street"])
        try await expectDenied(
            """
            SELECT consent.append(gen_random_uuid(), \(resident.id), \(activity.id), 'given', NULL, 1, \(resident.accountID), NULL, NULL,
                'self', 'page', 'en', NULL)
            """, city)
        try await expectDenied("SELECT access_log.erase_entry(gen_random_uuid(), 'because')", city)
        try await expectDenied("SELECT public.refuse_change()", city)
        try await expectDenied(
            "CREATE OR REPLACE FUNCTION public.stoa_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'", city)
        try await expectDenied("SET ROLE stoa_owner", city)
        try await expectDenied("SET ROLE stoa_door", city)
        try await expectDenied("SET SESSION AUTHORIZATION stoa_owner", city)
        try await expectDenied("CREATE TABLE register.mine (id integer)", city)
        try await expectDenied("CREATE TABLE public.mine (id integer)", city)
        try await expectDenied("ALTER TABLE register.resident DISABLE TRIGGER ALL", city)
    }

    private func expectDenied(_ sql: SQL, _ city: CityFixture) async throws {
        do {
            _ = try await city.app.exclusive { try await $0.execute(sql) }
            Issue.record("was allowed: \(sql)")
        } catch let error as DatabaseError {
            #expect(error.isPermissionDenied, "\(sql): \(error)")
        }
    }
}
