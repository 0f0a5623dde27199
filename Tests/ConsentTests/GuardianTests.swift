// Children and guardians: who may decide when, that a sharing needs everybody who must agree and any one of them stops it, that an agreement ends with the birthday after which
// the child is asked, and that a guardian's look is in the child's log as the guardian's. Refusals first.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Register
import Testing
import TransparencyLog
import Web

@testable import Consent

/// A child of ten with two guardians who must agree and an aunt who need not; a stranger; a clinic that reads by consent.
private struct Family {
    let city: CityFixture
    let door: Door
    let clinic: FixtureOrganisation
    let care: FixtureActivity
    let lina: FixtureResident
    let ada: FixtureResident
    let ben: FixtureResident
    let aunt: FixtureResident
    let eve: FixtureResident

    static let ages = AgesOfConsent(asked: 13, alone: 16, ofAge: 18)
    /// Ten years before the clock of the machine, roughly: birthdays are then some years ahead.
    static let years: TimeInterval = 365.25 * 86_400

    init(age: Double = 10) async throws {
        city = try await CityFixture.make()
        door = Door(database: city.app)
        clinic = try await city.organisation("clinic")
        care = try await city.activity(clinic, "care", attributes: ["given_names", "locality"])
        lina = try await city.resident(["given_names": "Lina", "locality": "Porto"])
        ada = try await city.resident()
        ben = try await city.resident()
        aunt = try await city.resident(["given_names": "Tante"])
        eve = try await city.resident()
        for (guardian, name, mustAgree) in [(ada, "Mama <b>", true), (ben, "Papa", true), (aunt, "Tante", false)] {
            let outcome = try await guardianships.add(new(guardian, name, born: try Self.born(age), mustAgree: mustAgree), ages: Self.ages, in: .gmt)
            #expect(outcome == .recorded)
        }
    }

    var guardianships: Guardianships { Guardianships(owner: city.owner, vault: city.vault) }
    var guardians: Guardians { Guardians(database: city.app, vault: city.vault) }

    static func born(_ age: Double) throws -> CalendarDay {
        try #require(CalendarDay(Date(timeIntervalSinceNow: -age * years).formatted(Date.ISO8601FormatStyle().year().month().day())))
    }

    func new(_ guardian: FixtureResident, _ name: String, born: CalendarDay, mustAgree: Bool = true, child: FixtureResident? = nil) -> Guardianships.New {
        Guardianships.New(
            child: (child ?? lina).publicCode, guardian: guardian.publicCode, childName: "Lina <i>", guardianName: name, born: born, mustAgree: mustAgree,
            authority: "Birth register 7")
    }

    /// The clock this many years after the child's birth, give or take a day.
    func setAge(_ years: Double, from age: Double = 10) async throws {
        try await city.owner.execute("UPDATE web.credential SET expires_at = 'infinity', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
        try await city.setClock(secondsAhead: Int((years - age) * Self.years))
    }

    /// A guardian's word, or the child's own.
    @discardableResult
    func say(_ kind: String, _ who: FixtureResident, attributes: [String]? = nil) async throws -> String {
        if who == lina {
            return try await city.decide(kind, care, by: lina, attributes: attributes)
        }
        return try await city.app.one(
            OneValue(
                """
                SELECT consent.decide_for_child(\(who.session.hash.bytes), \(lina.id), \(UUID()), \(care.id), \(kind), \(attributes as [String]?), NULL, 'en')
                """))
    }

    /// Whether the clinic gets the child's data now.
    func isRead(_ attributes: [String] = ["locality"]) async throws -> Bool {
        let request = AccessRequest(
            credential: try await city.clientToken("clinic").hash, operation: .disclose, subject: .pseudonym(try await city.pseudonym(of: lina, for: clinic)),
            attributes: attributes, purpose: "care", caseReference: "CASE-1")
        do {
            _ = try await door.read(request)
            return true
        } catch is RefusedAccess { return false }
    }

    func events() async throws -> [String] {
        try await city.owner.query(
            OneValue(
                """
                SELECT concat_ws(' ', e.kind, e.capacity, CASE a.resident_id WHEN \(ada.id) THEN 'ada' WHEN \(ben.id) THEN 'ben' WHEN \(lina.id) THEN 'lina' WHEN \(aunt.id) THEN 'aunt' END)
                FROM consent.event AS e LEFT JOIN identity.account AS a ON a.id = e.account_id WHERE e.resident_id = \(lina.id) ORDER BY e.sequence
                """, of: String.self))
    }

    func serve(_ body: @Sendable (Family, any TestClientProtocol) async throws -> Void) async throws {
        let entries = AccessEntries(database: city.app, door: door)
        try await city.serve({ site in
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            GuardianRoutes(database: city.app, vault: city.vault).add(to: site)
            let signer = try Ed25519NoteSigner.generate(name: "city.example/log")
            let heads = LogHeads(database: city.app, verifier: signer.verifier)
            ConsentReceiptRoutes(database: city.app, signer: signer, heads: heads).add(to: site)
            AccessLogRoutes(database: city.app, entries: entries, heads: heads).add(to: site)
        }) { try await body(self, $0) }
    }
}

@Suite("Children and guardians")
struct GuardianTests {
    @Test("Guardian and child are told when a guardianship is entered and when it ends, once each")
    func told() async throws {
        let family = try await Family()
        func messages(_ who: FixtureResident) async throws -> [String] {
            try await family.city.owner.query(OneValue("SELECT kind FROM messages.message WHERE resident_id = \(who.id) ORDER BY sent_at, id", of: String.self))
        }
        #expect(try await messages(family.ada) == ["guardianship_entered"])
        #expect(try await messages(family.lina) == Array(repeating: "guardian_entered", count: 3))
        #expect(try await family.guardianships.add(family.new(family.ada, "Mama", born: try Family.born(10)), ages: Family.ages, in: .gmt) == .unchanged)
        #expect(try await family.guardianships.end(child: family.lina.publicCode, guardian: family.ada.publicCode, authority: "Court order 9"))
        #expect(try await !family.guardianships.end(child: family.lina.publicCode, guardian: family.ada.publicCode, authority: "Court order 9"))
        #expect(try await messages(family.ada) == ["guardianship_entered", "guardianship_ended"])
        #expect(try await messages(family.lina).filter { $0 == "guardian_ended" }.count == 1)
        #expect(try await messages(family.aunt) == ["guardianship_entered"])
        // Who has not looked yet has something to do, once; whose guardianship is over has not.
        #expect(try await family.guardians.unseen(of: family.aunt.session.hash).map(\.id) == [family.lina.id])
        _ = try await family.guardians.sharings(of: family.lina.id, for: family.aunt.session.hash)
        for who in [family.aunt, family.ada, family.eve, family.lina] { #expect(try await family.guardians.unseen(of: who.session.hash).isEmpty) }
    }

    @Test("Nobody decides for a child who is not its guardian, is not any more, or whose child is of age; and nobody is entered who is none")
    func strangers() async throws {
        let family = try await Family()
        #expect(try await family.say("given", family.eve) == "child_unknown")
        #expect(try await family.say("withdrawn", family.eve) == "child_unknown")
        // The child is no guardian of its guardians, and nobody is their own.
        let turned = try await family.city.app.one(
            OneValue(
                "SELECT consent.decide_for_child(\(family.lina.session.hash.bytes), \(family.ada.id), \(UUID()), \(family.care.id), 'given', NULL, NULL, 'en')",
                of: String.self))
        #expect(turned == "child_unknown")
        await #expect(throws: DatabaseError.self) {
            _ = try await family.guardianships.add(family.new(family.lina, "Me", born: try Family.born(10)), ages: Family.ages, in: .gmt)
        }
        #expect(try await family.guardianships.add(family.new(family.eve, "Eve", born: try Family.born(19), child: family.aunt), ages: Family.ages, in: .gmt) == .grownUp)
        // The role that serves enters nobody, and ends nothing.
        for statement: SQL in [
            "SELECT register.end_guardianship(\(family.lina.id), \(family.ada.id), 'nobody')",
            "INSERT INTO register.minor VALUES (\(family.eve.id), now(), now(), now())", "SELECT * FROM register.guardianship",
        ] { await #expect(throws: DatabaseError.self) { try await family.city.app.execute(statement) } }

        try await family.say("given", family.ada)
        #expect(try await family.guardianships.end(child: family.lina.publicCode, guardian: family.ben.publicCode, authority: "Court 12"))
        #expect(try await !family.guardianships.end(child: family.lina.publicCode, guardian: family.ben.publicCode, authority: "Court 12"))
        #expect(try await family.say("given", family.ben) == "child_unknown")
        #expect(try await family.guardians.children(of: family.ben.session.hash).isEmpty)
        await #expect(throws: Problem.self) { _ = try await family.guardians.sharings(of: family.lina.id, for: family.ben.session.hash) }

        try await family.setAge(18.1)
        #expect(try await family.say("given", family.ada) == "child_unknown")
        #expect(try await family.guardians.children(of: family.ada.session.hash).isEmpty)
    }

    @Test("A sharing of a child needs everybody who must agree, to the same; who need not agree cannot, and the child alone cannot")
    func everybody() async throws {
        let family = try await Family()
        #expect(try await family.say("given", family.lina) == "guardians_decide")
        #expect(try await family.say("given", family.aunt) == "guardians_decide")
        #expect(try await family.say("given", family.ada) == "recorded")
        #expect(try await family.say("given", family.ada) == "unchanged")
        #expect(try await !family.isRead())
        // Another choice is another agreement: it begins anew.
        #expect(try await family.say("given", family.ben, attributes: ["locality"]) == "recorded")
        #expect(try await !family.isRead())
        #expect(try await family.say("given", family.ada, attributes: ["locality"]) == "recorded")
        #expect(try await family.isRead())
        #expect(try await !family.isRead(["given_names"]))
        #expect(try await family.say("given", family.ben) == "in_force", "what is shared is stopped before something else is")
        #expect(try await family.events() == ["agreed guardian ada", "agreed guardian ben", "given guardian ada"])
        #expect(try await family.city.owner.query(OneValue("SELECT finding FROM consent.verify_chains()", of: String.self)).isEmpty)
        // A signature on paper is one person's.
        let clerk = try await family.city.staff(roles: [StaffRole.caseworker])
        try await family.say("withdrawn", family.ben)
        let paper = try await family.city.owner.one(
            OneValue(
                """
                SELECT consent.append(\(UUID()), \(family.lina.id), \(family.care.id), 'given', NULL, 1, NULL, \(clerk.id), NULL, 'paper', 'paper_form', 'en', 'FORM-1')
                """, of: String.self))
        #expect(paper == "guardians_decide")
    }

    @Test("Any one of them stops it at once, the child too, and what waits for others as well", arguments: ["ada", "ben", "aunt", "lina"])
    func anyOne(stops name: String) async throws {
        let family = try await Family()
        let who = try #require(["ada": family.ada, "ben": family.ben, "aunt": family.aunt, "lina": family.lina][name])
        for isComplete in [true, false] {
            try await family.say("given", family.ada)
            if isComplete { try await family.say("given", family.ben) }
            #expect(try await family.isRead() == isComplete)
            #expect(try await family.say("withdrawn", who) == "recorded")
            #expect(try await !family.isRead())
            #expect(try await family.say("given", family.ben) == "recorded")
            #expect(try await !family.isRead(), "one word after a withdrawal is not enough")
            try await family.say("withdrawn", family.ben)
        }
    }

    @Test("What not everybody agreed to in time lapses, and nobody can prolong it")
    func lapses() async throws {
        let family = try await Family()
        try await family.say("given", family.ada)
        try await family.setAge(10.2)
        #expect(try await family.say("renewed", family.lina) == "guardians_decide")
        #expect(try await family.say("given", family.ben) == "recorded")
        #expect(try await !family.isRead())
        #expect(try await family.events() == ["agreed guardian ada", "expired system", "agreed guardian ben"])
        #expect(try await family.city.owner.query(OneValue("SELECT finding FROM consent.verify_chains()", of: String.self)).isEmpty)
    }

    @Test("At each birthday that counts an agreement ends by the door's clock, until the child goes on with it")
    func birthdays() async throws {
        let family = try await Family()
        try await family.say("given", family.ada)
        try await family.say("given", family.ben)
        try await family.setAge(12.9)
        #expect(try await family.isRead())
        try await family.setAge(13.1)
        #expect(try await !family.isRead(), "nothing wrote anything down: the clock alone decides")
        #expect(try await family.say("given", family.ada) == "recorded")
        #expect(try await !family.isRead(), "from now on the child must agree too")
        try await family.say("withdrawn", family.ada)

        // Another family: the child goes on with what was agreed to before.
        let other = try await Family()
        try await other.say("given", other.ada)
        try await other.say("given", other.ben)
        try await other.setAge(13.1)
        #expect(try await other.say("renewed", other.lina) == "recorded")
        #expect(try await other.isRead())
        try await other.setAge(16.1)
        #expect(try await !other.isRead())
        #expect(try await other.say("given", other.ada) == "child_decides")
        #expect(try await other.say("renewed", other.lina) == "recorded")
        #expect(try await other.isRead())
        #expect(try await other.say("withdrawn", other.ben) == "child_decides")
        try await other.setAge(18.1)
        #expect(try await other.isRead(), "what the child decided alone does not end with coming of age")
        #expect(try await other.events() == [
            "agreed guardian ada", "given guardian ben", "expired system", "renewed self lina", "expired system", "renewed self lina",
        ])
    }

    @Test("The child's home page asks whether to go on with what guardians agreed to, until it has answered")
    func askedAgain() async throws {
        let family = try await Family()
        try await family.say("given", family.ada)
        try await family.say("given", family.ben)
        let tasks = { @Sendable (client: any TestClientProtocol) in try await CityBrowser(client, session: family.lina.session).get("/tasks").text }
        try await family.city.serve({ site in
            site.resident.get("/tasks") { _, context in
                let tasks = try await EndingConsents(consents: Consents(database: family.city.app)).tasks(of: context.resident, context.web)
                return .json(.array(tasks.map { .string("\($0.title) | \($0.path)") }))
            }
        }) { client in
            try await family.setAge(12.9)
            #expect(try await tasks(client) == "[]")
            try await family.setAge(13.1)
            #expect(try await tasks(client) == "[\"Now it is for you to say: go on sharing with clinic (en)? care title 1 | /consents/\(ActivityID(family.care.id))\"]")
            #expect(try await family.say("renewed", family.lina) == "recorded")
            #expect(try await tasks(client) == "[]")
        }
    }

    @Test("From thirteen on nothing is shared before child and guardians agreed; from sixteen on the child decides alone")
    func older() async throws {
        let family = try await Family()
        try await family.setAge(14)
        try await family.say("given", family.ada)
        try await family.say("given", family.ben)
        #expect(try await !family.isRead())
        #expect(try await family.say("given", family.lina) == "recorded")
        #expect(try await family.isRead())
        try await family.say("withdrawn", family.lina)
        try await family.setAge(17)
        #expect(try await family.say("given", family.lina) == "recorded")
        #expect(try await family.isRead())
    }

    @Test("What a child shared before a guardian was entered who must agree is void")
    func entered() async throws {
        let city = try await CityFixture.make()
        let care = try await city.activity(city.organisation("clinic"), "care", attributes: ["locality"])
        let (child, guardian) = (try await city.resident(["given_names": "Kim", "locality": "Porto"]), try await city.resident())
        try await city.decide("given", care, by: child)
        let new = Guardianships.New(
            child: child.publicCode, guardian: guardian.publicCode, childName: "Kim", guardianName: "Sam", born: try Family.born(9), mustAgree: true, authority: "Court 1")
        let guardianships = Guardianships(owner: city.owner, vault: city.vault)
        #expect(try await guardianships.add(new, ages: Family.ages, in: .gmt) == .recorded)
        // The same again with another date changes no age.
        var younger = new
        younger.born = try Family.born(5)
        let ages: SQL = "SELECT array_agg(m::text)::text FROM register.minor AS m"
        let before = try await city.owner.one(OneValue(ages, of: String.self))
        #expect(try await guardianships.add(younger, ages: Family.ages, in: .gmt) == .unchanged)
        #expect(try await city.owner.one(OneValue(ages, of: String.self)) == before)
        // Whom the register knows with another date of birth a mistyped code does not make a child.
        var adult = new
        adult.child = guardian.publicCode
        adult.guardian = child.publicCode
        #expect(try await guardianships.add(adult, ages: Family.ages, in: .gmt) == .birthDiffers)
        let state = try await city.owner.one(OneValue("SELECT state FROM consent.state WHERE resident_id = \(child.id)", of: String.self))
        #expect(state == "invalidated")
    }

    @Test("While guardians agree and stop at the same moment, nothing is ever shared that one of them stopped and has not agreed to again")
    func race() async throws {
        let family = try await Family()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                group.addTask {
                    switch number % 3 {
                    case 0: _ = try await family.say("given", family.ada)
                    case 1: _ = try await family.say("given", family.ben)
                    default: _ = try await family.say("withdrawn", number.isMultiple(of: 2) ? family.ben : family.ada)
                    }
                }
            }
            try await group.waitForAll()
        }
        let events = try await family.events()
        for (position, event) in events.enumerated() where event.hasPrefix("given") {
            let before = position > 0 ? events[position - 1] : ""
            #expect(Set([before.suffix(3), event.suffix(3)]) == ["ada", "ben"] && before.hasPrefix("agreed"), "\(events)")
        }
        // The withdrawal that comes last wins, whoever else is about to agree.
        async let late = family.say("given", family.ada)
        #expect(["recorded", "unchanged"].contains(try await family.say("withdrawn", family.ben)))
        _ = try await late
        #expect(try await !family.isRead())
        #expect(try await family.city.owner.query(OneValue("SELECT finding FROM consent.verify_chains()", of: String.self)).isEmpty)
    }

    @Test("A guardian's look is an entry about the child, once a session, and shows as the guardian's; a look of who is none is refused")
    func looks() async throws {
        try await Family().serve { family, client in
            let counted: SQL = "SELECT count(*) FROM consent.states_of_child(\(family.ada.session.hash.bytes), \(family.lina.id))"
            try await family.say("given", family.ada)
            #expect(try await family.city.app.one(OneValue(counted, of: Int64.self)) == 0, "the look is not logged yet")
            let path = "/children/\(family.lina.publicCode)"
            let mother = CityBrowser(client, session: family.ada.session)
            for _ in 0..<2 { #expect(try await mother.get(path).status == 200) }
            #expect(try await family.city.app.one(OneValue(counted, of: Int64.self)) == 1)
            #expect(try await CityBrowser(client, session: family.eve.session).get(path).status == 404)
            _ = try await family.guardianships.end(child: family.lina.publicCode, guardian: family.ben.publicCode, authority: "Court 12")
            await #expect(throws: Problem.self) { _ = try await family.guardians.sharings(of: family.lina.id, for: family.ben.session.hash) }
            await #expect(throws: Problem.self) { _ = try await family.guardians.sharings(of: family.lina.id, for: family.eve.session.hash) }
            #expect(try await family.city.entryCount(where: "operation = 'guardian_view' AND subject_id = \(family.lina.id) AND outcome = 'permitted'") == 1)
            #expect(try await family.city.entryCount(where: "operation = 'guardian_view' AND subject_id = \(family.lina.id) AND outcome = 'refused'") == 1)
            #expect(try await family.city.entryCount(where: "operation = 'guardian_view' AND subject_id IS NULL AND outcome = 'refused'") == 1)
            let log = try await CityBrowser(client, session: family.lina.session).get("/access-log").text
            #expect(log.contains("A guardian of yours looked at what is shared of you"))
            #expect(log.contains("A guardian of yours tried to look at what is shared of you and was refused"))
            let entry = try #require(log.firstMatch(of: /href="(\/access-log\/[0-9a-f-]{36})"/)?.1)
            #expect(try await CityBrowser(client, session: family.lina.session).get(String(entry)).status == 200)
        }
    }

    @Test("The pages: for whom is chosen by name, each is told what is missing, and the child sees who agreed")
    func pages() async throws {
        try await Family().serve { family, client in
            let path = "/children/\(family.lina.publicCode)"
            let (mother, father) = (CityBrowser(client, session: family.ada.session), CityBrowser(client, session: family.ben.session))
            #expect(try await CityBrowser(client).get(path).status == 303)
            #expect(try await CityBrowser(client, session: family.eve.session).get("/children").text.contains("The city knows of no child in your care."))
            #expect(try await mother.get("/consents").text.contains("href=\"/children\""))
            #expect(try await mother.get("/children").text.contains("Lina &lt;i&gt;"))
            let first = try await mother.get(path).text
            for text in ["For whom?", "What is shared of \u{2068}Lina &lt;i&gt;\u{2069}", "in your own name", "<button aria-describedby"] { #expect(first.contains(text), "\(text)") }
            #expect(try await mother.post("\(path)/consents/\(family.care.id)", [("state", "given"), ("policy_version", "1")]).status == 303)
            #expect(try await mother.get(path).text.contains("You have agreed; it waits for the others"))
            let asked = try await father.get(path).text
            #expect(asked.contains("Somebody who must agree has") && asked.contains("name=\"attribute\" value=\"locality\""))
            let fields = [("state", "given"), ("policy_version", "1"), ("attribute", "given_names"), ("attribute", "locality")]
            #expect(try await father.post("\(path)/consents/\(family.care.id)", fields).status == 303)
            #expect(try await family.isRead())
            #expect(try await mother.get(path).text.contains("Shared since"))

            let child = CityBrowser(client, session: family.lina.session)
            let history = try await child.get("/consents/\(family.care.id)").text
            #expect(history.contains("By your guardian, \u{2068}Mama &lt;b&gt;\u{2069}") && history.contains("By your guardian, \u{2068}Papa\u{2069}"))
            #expect(try await child.get("/consents/\(family.care.id)/receipt").text.contains("A guardian of yours"))
            #expect(try await child.get("/children").text.contains("\u{2068}Tante\u{2069}, since"))
            #expect(try await child.post("/consents/\(family.care.id)", [("state", "withdrawn")]).status == 303)
            #expect(try await !family.isRead())
            _ = try await child.get("/consents")
            let offered = try await child.get("/consents/\(family.care.id)").text
            #expect(!offered.contains("name=\"state\" value=\"given\"") && offered.contains("Your guardians decide whether this is shared"))
            let alone = try await child.post("/consents/\(family.care.id)", [("state", "given"), ("policy_version", "1")])
            #expect(alone.status == 409 && alone.text.contains("Your guardians decide"))
            // A child that is asked can say yes, with the others.
            try await family.setAge(14)
            #expect(try await child.get("/consents/\(family.care.id)").text.contains("name=\"state\" value=\"given\""))
            try await family.setAge(10)

            let app = CityAPIClient(client, token: try await family.city.appToken(of: family.ada, scope: ["consents"]))
            #expect(try await app.get("/api/v1/children").json["items"] == [
                [
                    "id": .string(family.lina.publicCode.description), "name": "Lina <i>", "must_agree": true, "is_asked": false, "decides_alone": false,
                ]
            ])
            let put = try await app.put("/api/v1/children/\(family.lina.publicCode)/consents/\(family.care.id)", #"{"state": "given", "attributes": ["locality"]}"#)
            #expect(put.status == 200 && put.text.contains("\"agreed\"") && put.text.contains("\"has_agreed\":true"))
            let noScope = CityAPIClient(client, token: try await family.city.appToken(of: family.ada, scope: ["profile"]))
            #expect(try await noScope.get("/api/v1/children").status == 403)
        }
    }
}
