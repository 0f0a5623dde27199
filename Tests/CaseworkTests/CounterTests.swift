// At the counter: whom staff may find and how, what a passport changes, what a paper form leaves behind. Refusals first.
import AccessLog
import City
import Consent
import Foundation
import HTTPTypes
import Messages
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Casework

@Suite("The counter")
struct CounterTests {
    private func serve<T: Sendable>(
        roles: [StaffRole] = [.caseworker], _ body: @Sendable @escaping (CityFixture, CityBrowser, FixtureStaff) async throws -> T
    ) async throws -> T {
        let city = try await CityFixture.make()
        let staff = try await city.staff(roles: roles)
        return try await city.serve {
            CaseworkRoutes(
                database: city.app, door: Door(database: city.app), vault: city.vault, lookup: city.lookup,
                corrections: Corrections(database: city.app, vault: city.vault, lookup: city.lookup)
            ).add(to: $0)
        } _: { client in
            try await body(city, CityBrowser(client, session: staff.session), staff)
        }
    }

    private static func search(_ code: PublicCode, reason: String = "identity_proofing") -> [(String, String)] {
        [("reason", reason), ("case_reference", "CASE-7"), ("kind", "public_code"), ("public_code", code.description)]
    }

    /// An account that registered by itself and showed nothing yet.
    private static func newcomer(_ city: CityFixture) async throws -> FixtureResident {
        let newcomer = try await city.resident([:], identityAssurance: 0)
        try await city.owner.execute("UPDATE register.resident SET origin = 'self_registered' WHERE id = \(newcomer.id)")
        return newcomer
    }

    /// A register record that nobody has an account for.
    private static func record(_ city: CityFixture) async throws -> FixtureResident {
        let record = try await city.resident(identityAssurance: 0)
        try await city.owner.execute("DELETE FROM web.credential WHERE account_id = \(record.accountID)")
        try await city.owner.execute("DELETE FROM identity.account WHERE id = \(record.accountID)")
        return record
    }

    @Test("Without the role, a reason or a case nothing opens")
    func refusals() async throws {
        try await serve(roles: [.approver]) { city, browser, _ in
            let (home, search) = (try await browser.get("/staff"), try await browser.get("/staff/search"))
            #expect(home.status == 200)
            #expect(search.status == 403)
            // What answers 403 is not offered, and the page says what is there to do.
            #expect(!home.text.contains("/staff/search") && home.text.contains("Approve or refuse benefit payments"))
        }
        try await serve { city, browser, _ in
            let resident = try await city.resident()
            _ = try await browser.get("/staff/search")
            let current = try await browser.get("/staff/search").text.components(separatedBy: #"aria-current="page""#)
            #expect(current.count == 2 && current[0].hasSuffix(#"href="/staff/search" "#))
            let noReason = try await browser.post("/staff/search", [("kind", "public_code"), ("public_code", resident.publicCode.description)])
            #expect(noReason.status == 422)
            #expect(try await city.entryCount() == 0)
        }
    }

    @Test("A found resident opens for the stated reason; every page about them is in their log")
    func opening() async throws {
        try await serve { city, browser, _ in
            let resident = try await city.resident()
            _ = try await browser.get("/staff/search")
            let found = try await browser.post("/staff/search", Self.search(resident.publicCode))
            #expect(found.status == 303)
            let page = try await browser.get(try #require(found.headers[.location]))
            #expect(page.text.contains("Ada") && page.text.contains("Byron"))
            #expect(try await city.entryCount(where: "e.operation = 'search' AND e.subject_id = \(resident.id)") == 1)
            #expect(try await city.entryCount(where: "e.operation = 'view' AND e.case_reference = 'CASE-7'") == 1)
            _ = try await browser.get(try #require(found.headers[.location]))
            #expect(try await city.entryCount(where: "e.operation = 'view'") == 2)
        }
    }

    @Test("Somebody else's opening, an expired one and one that never was are all not found")
    func foreignOpening() async throws {
        try await serve { city, browser, _ in
            let resident = try await city.resident()
            _ = try await browser.get("/staff/search")
            let place = try #require(try await browser.post("/staff/search", Self.search(resident.publicCode)).headers[.location])
            try await city.owner.execute("UPDATE casework.opening SET staff_id = \(try await city.staff(roles: [.caseworker]).id)")
            #expect(try await browser.get(place).status == 404)
            #expect(try await browser.get("/staff/records/\(OpeningID.new())").status == 404)
            let mine = try #require(try await browser.post("/staff/search", Self.search(resident.publicCode)).headers[.location])
            #expect(try await browser.get(mine).status == 200)
            try await city.owner.execute("UPDATE casework.opening SET expires_at = public.stoa_now()")
            #expect(try await browser.get(mine).status == 404)
        }
    }

    @Test("By number or by exact name and birth date; two people of one name are not guessed between")
    func waysToFind() async throws {
        try await serve { city, browser, _ in
            let values = ["given_names": "Ana María", "family_name": "O’Neil", "date_of_birth": "1980-02-29", "national_number": "800229123457"]
            _ = try await city.resident(values)
            _ = try await browser.get("/staff/search")
            let why = [("reason", "assistance"), ("case_reference", "C")]
            let byNumber = try await browser.post("/staff/search", why + [("kind", "national_number"), ("national_number", "800229-12345 7")])
            #expect(byNumber.status == 303)
            let name = [
                ("kind", "name_and_birth_date"), ("given_names", "ana  maría"), ("family_name", "O’NEIL"), ("birth-day", "29"), ("birth-month", "2"),
                ("birth-year", "1980"),
            ]
            #expect(try await browser.post("/staff/search", why + name).status == 303)
            _ = try await city.resident(["given_names": "Suharto", "date_of_birth": "1980-02-29"])
            let oneName = name.filter { $0.0.hasPrefix("birth") || $0.0 == "kind" }
            #expect(try await browser.post("/staff/search", why + oneName).status == 422)
            for field in ["given_names", "family_name"] {
                #expect(try await browser.post("/staff/search", why + oneName + [(field, "suharto")]).status == 303, "\(field)")
            }
            let part = name.map { $0.0 == "given_names" ? ("given_names", "Ana") : $0 }
            #expect(try await browser.post("/staff/search", why + part).status == 422)
            _ = try await city.resident(values.filter { $0.key != "national_number" })
            let both = try await browser.post("/staff/search", why + name)
            #expect(both.status == 422)
            #expect(both.text.contains("More than one person"))
        }
    }

    @Test("A passport links the account, raises its assurance, and ends choices made before")
    func proof() async throws {
        try await serve { city, browser, staff in
            let newcomer = try await Self.newcomer(city)
            let record = try await Self.record(city)
            let clinic = try await city.organisation("clinic")
            let activity = try await city.activity(clinic, "treatment", attributes: ["given_names"])
            #expect(try await city.decide("given", activity, by: newcomer) == "recorded")
            let door = Door(database: city.app)
            let ownView = {
                try await door.read(
                    AccessRequest(
                        credential: newcomer.session.hash, operation: .ownView, subject: .own, attributes: ["given_names"], purpose: "profile",
                        caseReference: ""))
            }
            for _ in 0..<2 { #expect(try await ownView().residentID == newcomer.id) }
            _ = try await browser.get("/staff/search")
            let place = try #require(try await browser.post("/staff/search", Self.search(record.publicCode)).headers[.location])
            _ = try await browser.get(place)
            let proof = [("account_code", newcomer.publicCode.description), ("evidence", "passport"), ("proof", UUID().uuidString)]
            #expect(try await browser.post(place + "/proof", proof).status == 303)
            // Sent twice, it is one proof.
            #expect(try await browser.post(place + "/proof", proof).status == 303)
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM identity.evidence WHERE staff_id = \(staff.id)", of: Int64.self)) == 1)
            let caller = try await Site.resolver(using: city.app)(newcomer.session.hash, .session)
            guard case .resident(let resident) = caller else { Issue.record("the session is gone"); return }
            #expect(resident.residentID == record.id)
            #expect(resident.identityAssurance == 2)
            // The session that looked before sees the record that it is linked to now, and the log says so once.
            for _ in 0..<2 { #expect(try await ownView().residentID == record.id) }
            #expect(try await city.entryCount(where: "e.operation = 'own_view' AND e.subject_id = \(newcomer.id)") == 1)
            #expect(try await city.entryCount(where: "e.operation = 'own_view' AND e.subject_id = \(record.id)") == 1)
            let states = try await city.owner.query(OneValue("SELECT state FROM consent.state", of: String.self))
            #expect(states == ["invalidated"])
            let told = try await city.owner.query(
                OneValue("SELECT parameters ->> 'code' FROM messages.message WHERE kind = 'code_changed' AND resident_id = \(record.id)", of: String.self))
            #expect(told == [record.publicCode.description])
            // The code on the resident's old papers leads to the record that took its place.
            let old = try await browser.post("/staff/search", Self.search(newcomer.publicCode))
            #expect(old.status == 303)
            #expect(try await browser.get(try #require(old.headers[.location])).text.contains(record.publicCode.description))
            #expect(try await city.entryCount(where: "e.operation = 'search' AND e.subject_id = \(newcomer.id)") == 0)
        }
    }

    @Test("One account a record and one record an account, also when two counters link at once")
    func oneAccount() async throws {
        let city = try await CityFixture.make()
        let record = try await Self.record(city)
        let newcomers = [try await Self.newcomer(city), try await Self.newcomer(city), try await Self.newcomer(city)]
        let door = Door(database: city.app)
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for newcomer in newcomers {
                let staff = try await city.staff(roles: [.caseworker])
                let search = try await door.read(
                    AccessRequest(
                        credential: staff.session.hash, operation: .search, subject: .publicCode(record.publicCode), attributes: [],
                        purpose: "identity_proofing", caseReference: "C"))
                let opening = try #require(
                    try await city.app.one(OpenRecord(credential: staff.session.hash, openingID: .new(), searchEntryID: search.entryID)))
                group.addTask {
                    try await city.app.transaction {
                        try await $0.one(
                            ProveIdentityStatement(
                                credential: staff.session.hash, openingID: opening, evidenceID: UUID(), accountCode: newcomer.publicCode,
                                evidence: .passport, language: .english))
                    }
                }
            }
            return try await group.reduce(into: [String]()) { $0.append($1) }.sorted()
        }
        #expect(outcomes == ["linked", "record_has_account", "record_has_account"])
    }

    @Test("A search of somebody else is no ticket to open a record")
    func foreignTicket() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let (one, other) = (try await city.staff(roles: [.caseworker]), try await city.staff(roles: [.caseworker]))
        let search = try await Door(database: city.app).read(
            AccessRequest(
                credential: one.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [], purpose: "complaint",
                caseReference: "C"))
        #expect(try await city.app.one(OpenRecord(credential: other.session.hash, openingID: .new(), searchEntryID: search.entryID)) == nil)
        #expect(try await city.app.one(OpenRecord(credential: resident.session.hash, openingID: .new(), searchEntryID: search.entryID)) == nil)
    }

    @Test("A paper form counts once, names its helper, and needs to be read back")
    func paper() async throws {
        try await serve { city, browser, _ in
            let record = try await Self.record(city)
            let clinic = try await city.organisation("clinic")
            let activity = try await city.activity(clinic, "treatment", attributes: ["given_names", "phone", "email"])
            let other = try await city.activity(clinic, "research", attributes: ["phone"])
            _ = try await browser.get("/staff/search")
            let place = try #require(try await browser.post("/staff/search", Self.search(record.publicCode, reason: "assistance")).headers[.location])
            _ = try await browser.get(place + "/paper-consent")
            let reference = try await Self.print(activity, browser)
            var form = [
                ("form_reference", reference), ("activity", activity.id.uuidString.lowercased()), ("decision", "given"), ("helper_name", "Grace H."),
                ("signature_method", "witness"), ("witness_name", "Kofi A."),
            ] + Self.signed()
            let unread = try await browser.post(place + "/paper-consent", form)
            #expect(unread.status == 422)
            #expect(unread.text.contains("must be read back"))
            form.append(("read_back", "on"))
            for missing in ["helper_name", "witness_name", "signature_method"] {
                #expect(try await browser.post(place + "/paper-consent", form.filter { $0.0 != missing }).status == 422)
            }
            let boxes = "attributes-" + activity.id.uuidString.lowercased()
            let unticked = try await browser.post(place + "/paper-consent", form)
            #expect(unticked.status == 422 && unticked.text.contains("Tick at least one kind of data"))
            let elsewhere = form + [(boxes, "phone"), ("attributes-" + other.id.uuidString.lowercased(), "phone")]
            #expect(try await browser.post(place + "/paper-consent", elsewhere).status == 422)
            #expect(try await browser.post(place + "/paper-consent", form + [(boxes, "street")]).status == 422)
            form += [(boxes, "phone"), (boxes, "email")]
            let contradiction = form.map { $0.0 == "decision" ? ("decision", "withdrawn") : $0 }
            #expect(try await browser.post(place + "/paper-consent", contradiction).status == 422)
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM consent.event", of: Int64.self)) == 0)
            #expect(try await browser.post(place + "/paper-consent", form).status == 303)
            #expect(try await city.owner.one(OneValue("SELECT attributes FROM consent.event", of: [String].self)) == ["phone", "email"])
            let again = try await browser.post(place + "/paper-consent", form)
            #expect(again.status == 422)
            #expect(again.text.contains("entered before"))
            #expect(try await city.owner.query(OneValue("SELECT capacity FROM consent.event", of: String.self)) == ["paper"])
            #expect(try await city.entryCount(where: "e.operation = 'paper_entry' AND e.case_reference = \(reference)") == 2)
            #expect(try await city.owner.one(OneValue("SELECT language FROM consent.event", of: String.self)) == "en")
            let page = try await browser.get(place)
            let letter = try #require(page.text.firstMatch(of: /href="([^"]+\/letters\/[^"]+)"/)?.1)
            let text = try await browser.get(String(letter)).text
            #expect(text.contains("Grace H.") && text.contains("Kofi A.") && text.contains(reference) && text.contains("Ada Byron"))
            // It says what was decided, not only that something was.
            #expect(text.contains("I agree") && text.contains("Phone") && text.contains("E-mail") && !text.contains("Given names"))
            #expect(text.contains(String(Self.signed()[2].1)))
        }
    }

    /// Prints a form on its page; returns its reference.
    private static func print(_ activity: FixtureActivity, _ browser: CityBrowser) async throws -> String {
        _ = try await browser.get("/staff")
        let printed = try await browser.post("/staff/forms", [("activity", activity.id.uuidString.lowercased())])
        let place = try #require(printed.headers[.location])
        #expect(try await browser.get(place).text.contains("Resident’s code or date of birth"))
        return String(try #require(place.split(separator: "/").last))
    }

    /// The fields of the day on which the form was signed: a number of days from today.
    private static func signed(days: Int = 0) -> [(String, String)] {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let day = calendar.dateComponents([.day, .month, .year], from: Date().addingTimeInterval(Double(days) * 86_400))
        return [("signed-day", "\(day.day ?? 0)"), ("signed-month", "\(day.month ?? 0)"), ("signed-year", "\(day.year ?? 0)")]
    }

    @Test("A form speaks only with a reference that was printed for it, and only between its printing and today; the log tells what changed nothing")
    func printedForms() async throws {
        try await serve { city, browser, staff in
            let resident = try await city.resident()
            let clinic = try await city.organisation("clinic")
            let activity = try await city.activity(clinic, "treatment", attributes: ["phone"])
            let other = try await city.activity(clinic, "research", attributes: ["phone"])
            let lawful = try await city.activity(clinic, "duty", attributes: ["phone"], law: "Act § 1")
            _ = try await browser.get("/staff")
            #expect(try await browser.post("/staff/forms", [("activity", lawful.id.uuidString)]).status == 404)
            let foreign = try await Self.print(other, browser)
            let reference = try await Self.print(activity, browser)
            _ = try await browser.get("/staff/search")
            let place = try #require(try await browser.post("/staff/search", Self.search(resident.publicCode, reason: "assistance")).headers[.location])
            _ = try await browser.get(place + "/paper-consent")
            func key(_ reference: String, _ signed: [(String, String)], helper: String = "Nobody Yet") async throws -> CityAnswer {
                let id = activity.id.uuidString.lowercased()
                return try await browser.post(place + "/paper-consent", [
                    ("form_reference", reference), ("activity", id), ("decision", "given"), ("attributes-" + id, "phone"), ("helper_name", helper),
                    ("signature_method", "signature"), ("read_back", "on"),
                ] + signed)
            }
            let refused = [
                (try await key(PublicCode.random().description, Self.signed()), "was printed by the city"),
                (try await key(resident.publicCode.description, Self.signed()), "was printed by the city"),
                (try await key(foreign, Self.signed()), "printed for another sharing"),
                (try await key(reference, [("signed-day", "1"), ("signed-month", "2"), ("signed-year", "1850")]), "before the day"),
                (try await key(reference, Self.signed(days: 3)), "in the future"),
            ]
            for (answer, words) in refused { #expect(answer.status == 422 && answer.text.contains(words), "\(words)") }
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM casework.paper_submission", of: Int64.self)) == 0)
            #expect(try await key(reference, Self.signed(), helper: "Grace H.").status == 303)
            #expect(try await key(reference, Self.signed(), helper: "Somebody Else").status == 422)
            // What the resident reads: one form was entered, with its helper; the others changed nothing and name nobody.
            let own = AccessRequest(
                credential: resident.session.hash, operation: .ownView, subject: .own, attributes: [], purpose: "access_log", caseReference: "")
            _ = try await Door(database: city.app).read(own)
            let seen = try await city.app.query(OneValue(
                """
                SELECT form_entered::text || coalesce(' ' || helper_name, '')
                FROM access_log.entries_about(\(resident.session.hash.bytes), NULL, NULL, 50, false, NULL, NULL, NULL, NULL) WHERE operation = 'paper_entry' ORDER BY at
                """, of: String.self))
            #expect(seen == Array(repeating: "false", count: 5) + ["true Grace H.", "false"])
        }
    }

    @Test("Nobody agrees by an old text, and everybody may stop by one")
    func oldForm() async throws {
        try await serve { city, browser, _ in
            let resident = try await city.resident()
            let activity = try await city.activity(try await city.organisation("clinic"), "treatment", attributes: ["phone"])
            try await city.decide("given", activity, by: resident)
            let reference = try await Self.print(activity, browser)
            try await city.publish(activity, version: 2, attributes: ["phone", "email"])
            #expect(try await browser.get("/staff/forms/\(reference)").status == 303)
            _ = try await browser.get("/staff/search")
            let place = try #require(try await browser.post("/staff/search", Self.search(resident.publicCode, reason: "assistance")).headers[.location])
            _ = try await browser.get(place + "/paper-consent")
            let id = activity.id.uuidString.lowercased()
            let form = [
                ("form_reference", reference), ("activity", id), ("helper_name", "Grace"), ("signature_method", "signature"), ("read_back", "on"),
            ] + Self.signed()
            let given = try await browser.post(place + "/paper-consent", form + [("decision", "given"), ("attributes-" + id, "phone")])
            #expect(given.status == 422 && given.text.contains("has changed since the form was printed"))
            #expect(try await browser.post(place + "/paper-consent", form + [("decision", "withdrawn")]).status == 303)
            #expect(try await city.owner.one(OneValue("SELECT state FROM consent.state", of: String.self)) == "withdrawn")
            let page = try await browser.get(place)
            let letter = try #require(page.text.firstMatch(of: /href="([^"]+\/letters\/[^"]+)"/)?.1)
            #expect(try await browser.get(String(letter)).text.contains("I do not agree"))
        }
    }

    @Test("A form is keyed only under a committed entry about this resident and this form, and each entry carries one")
    func entryIsTheTicket() async throws {
        let city = try await CityFixture.make()
        let (resident, neighbour) = (try await city.resident(), try await city.resident())
        let activity = try await city.activity(try await city.organisation("clinic"), "treatment", attributes: ["phone"])
        let (staff, other) = (try await city.staff(roles: [.caseworker]), try await city.staff(roles: [.caseworker]))
        let door = Door(database: city.app)
        func log(_ operation: AccessOperation, _ whom: FixtureResident, _ reference: PublicCode, by who: FixtureStaff) async throws -> AccessEntryID {
            try await door.read(
                AccessRequest(
                    credential: who.session.hash, operation: operation, subject: .resident(whom.id), attributes: [], purpose: "assistance",
                    caseReference: reference.description)).entryID
        }
        func printed() async throws -> PublicCode {
            let reference = PublicCode.random()
            #expect(try await city.app.one(PrintForm(
                credential: staff.session.hash, reference: reference, activity: ActivityID(activity.id), language: .french)))
            return reference
        }
        let (first, second) = (try await printed(), try await printed())
        let search = try await log(.search, resident, first, by: staff)
        let opening = try #require(try await city.app.one(OpenRecord(credential: staff.session.hash, openingID: .new(), searchEntryID: search)))
        func key(_ reference: PublicCode, under entry: AccessEntryID) async throws -> String {
            let day = Self.signed().reversed().map { Int($0.1) ?? 0 }
            return try await city.app.one(KeyPaperConsentStatement(
                credential: staff.session.hash, openingID: opening, entryID: entry,
                submission: PaperConsent(
                    id: UUID(), formReference: reference, activityID: ActivityID(activity.id), decision: .given, attributes: ["phone"], helperName: "G",
                    signatureMethod: .signature, witnessName: nil, wasReadBack: true,
                    signedOn: try #require(CalendarDay(String(format: "%04d-%02d-%02d", day[0], day[1], day[2]))))))
        }
        let wrong = [
            .new(), search, try await log(.paperEntry, neighbour, first, by: staff), try await log(.paperEntry, resident, first, by: other),
            try await log(.paperEntry, resident, second, by: staff), try await log(.view, resident, first, by: staff),
        ]
        for entry in wrong { #expect(try await key(first, under: entry) == "not_allowed") }
        let ticket = try await log(.paperEntry, resident, first, by: staff)
        #expect(try await key(first, under: ticket) == "recorded")
        #expect(try await key(first, under: ticket) == "not_allowed")
        #expect(try await city.owner.one(OneValue("SELECT language FROM consent.event", of: String.self)) == "fr")
        // Nor does whoever owns the tables put a form of one sharing to another.
        let research = try await city.activity(try await city.organisation("clinic"), "research", attributes: ["phone"])
        await #expect(throws: DatabaseError.self) {
            try await city.owner.execute(
                """
                INSERT INTO casework.paper_submission (id, form_reference, entry_id, resident_id, activity_id, decision, attributes, staff_id,
                    helper_name, signature_method, was_read_back, signed_on)
                VALUES (\(UUID()), \(second.description), \(UUID()), \(resident.id), \(research.id), 'given', '{phone}', \(staff.id), 'G', 'signature',
                    true, current_date)
                """)
        }
    }

    @Test("The database refuses a form without read-back, helper or witness, whoever writes it")
    func schemaRefuses() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let staff = try await city.staff(roles: [.caseworker])
        let clinic = try await city.organisation("clinic")
        let activity = try await city.activity(clinic, "treatment", attributes: ["given_names"])
        func submit(_ helper: String, _ method: String, _ witness: String?, _ readBack: Bool) async throws {
            let reference = PublicCode.random()
            _ = try await city.app.one(PrintForm(
                credential: staff.session.hash, reference: reference, activity: ActivityID(activity.id), language: .english))
            try await city.owner.execute(
                """
                INSERT INTO casework.paper_submission (id, form_reference, entry_id, resident_id, activity_id, decision, attributes, staff_id,
                    helper_name, signature_method, witness_name, was_read_back, signed_on)
                VALUES (\(UUID()), \(reference.description), \(UUID()), \(resident.id), \(activity.id), 'given', '{given_names}', \(staff.id), \(helper),
                    \(method), \(witness as String?), \(readBack), '2026-01-02')
                """)
        }
        try await submit("Grace", "witness", "Kofi", true)
        for (helper, method, witness, readBack) in [
            ("", "signature", nil, true), ("Grace", "witness", nil, true), ("Grace", "signature", nil, false), ("Grace", "nod", nil, true),
        ] as [(String, String, String?, Bool)] {
            await #expect(throws: DatabaseError.self) { try await submit(helper, method, witness, readBack) }
        }
    }
}
