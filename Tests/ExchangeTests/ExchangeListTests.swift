// Lists: many residents in one call, each decided and logged for itself.
import City
import Foundation
import Logging
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import AccessLog
@testable import Exchange

private let address = "/api/v1/exchange/lists"

/// A pension fund that knows many residents, who all agreed; the first of them has an account, a name and a session.
private struct Fund {
    let city: CityFixture
    let fund: FixtureOrganisation
    let proof: FixtureActivity
    let ada: FixtureResident
    let adaAtFund: UUID

    init() async throws {
        city = try await CityFixture.make()
        fund = try await city.organisation("fund")
        proof = try await city.activity(fund, "proof-of-life", attributes: ["family_name", "locality"])
        ada = try await city.resident()
        #expect(try await city.decide("given", proof, by: ada) == "recorded")
        adaAtFund = try await city.pseudonym(of: ada, for: fund)
    }

    /// Residents about whom nothing is held, with the consents that they would have given: straight into the tables, for their number.
    func addResidents(_ count: Int) async throws -> [UUID] {
        try await city.owner.transaction { transaction in
            try await transaction.execute(
                """
                INSERT INTO register.resident (id, public_code, origin)
                SELECT gen_random_uuid(), regexp_replace(upper(lpad(to_hex(n), 9, '0')), '(...)(...)(...)', '\\1-\\2-\\3'), 'population_register'
                FROM generate_series(1, \(Int32(count))) AS n
                """)
            try await transaction.execute(
                """
                INSERT INTO consent.event (id, resident_id, activity_id, policy_version, sequence, kind, attributes, capacity, method, language)
                SELECT gen_random_uuid(), r.id, \(proof.id), 1, 1, 'given', \(proof.attributes), 'system', 'identity_linked', 'en'
                FROM register.resident AS r WHERE r.id <> \(ada.id)
                """)
            try await transaction.execute(
                """
                INSERT INTO consent.state (resident_id, activity_id, state, policy_version, attributes, event_id, sequence, since)
                SELECT e.resident_id, e.activity_id, e.kind, e.policy_version, e.attributes, e.id, e.sequence, e.at
                FROM consent.event AS e WHERE e.resident_id <> \(ada.id)
                """)
            return try await transaction.query(
                OneValue(
                    """
                    INSERT INTO exchange.pseudonym (organisation_id, resident_id) SELECT \(fund.id), r.id FROM register.resident AS r
                    WHERE r.id <> \(ada.id) RETURNING pseudonym
                    """, of: UUID.self))
        }
    }

    func serve(_ body: @Sendable (CityAPIClient) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        try await city.serve({ ExchangeRoutes(door: door, vault: city.vault, database: city.app, rules: utcRules, signer: citySigner, baseURL: cityAddress).add(to: $0) }) {
            try await body(CityAPIClient($0, token: fund.credential))
        }
    }

    func body(_ subjects: [UUID], attributes: String = #"["family_name"]"#, purpose: String = "proof-of-life") -> String {
        let list = subjects.map { "\"\($0)\"" }.joined(separator: ", ")
        return #"{"subjects": [\#(list)], "purpose": "\#(purpose)", "attributes": \#(attributes), "case_reference": "L-1"}"#
    }
}

extension CityAnswer {
    fileprivate var items: [JSONValue] {
        guard case .array(let items)? = json["items"] else { return [] }
        return items
    }
}

extension JSONValue {
    /// The slug of why a list's item has no attributes.
    fileprivate var refusal: String? { self["refused"]?["type"]?.text.flatMap { $0.split(separator: "/").last.map(String.init) } }
}

@Suite("Exchange lists")
struct ExchangeListTests {
    @Test("Strangers, wrong scopes and unknown purposes are refused as a whole")
    func refusedAsAWhole() async throws {
        let fund = try await Fund()
        let wrongScope = try await fund.city.clientToken("fund", scope: ["voucher.redeem"])
        let door = Door(database: try fund.city.appPool(sharedConnections: 1))
        try await fund.city.serve({ ExchangeRoutes(door: door, vault: fund.city.vault, database: fund.city.app, rules: utcRules, signer: citySigner, baseURL: cityAddress).add(to: $0) }) { client in
            for token in [nil, FixtureCredential()] {
                let answer = try await CityAPIClient(client, token: token).post(address, fund.body([fund.adaAtFund]))
                #expect(answer.status == 401 && answer.problem == "unauthorised")
            }
            #expect(try await fund.city.entryCount() == 0)
            let scope = try await CityAPIClient(client, token: wrongScope).post(address, fund.body([fund.adaAtFund, UUID()]))
            #expect(scope.status == 403 && scope.problem == "insufficient-scope")
            let purpose = try await CityAPIClient(client, token: fund.fund.credential).post(address, fund.body([fund.adaAtFund], purpose: "marketing"))
            #expect(purpose.status == 403 && purpose.problem == "purpose-unknown")
            #expect(try await fund.city.entryCount(where: "e.outcome = 'refused' AND e.operation = 'list'") == 3)
            #expect(try await fund.city.entryCount() == 3)
        }
    }

    @Test(
        "Every bad body is refused before the door, naming the field",
        arguments: [
            (#""subjects": []"#, "subjects"), (#""subjects": "SUBJECT""#, "subjects"), (#""subjects": ["SUBJECT", "ada"]"#, "subjects[1]"),
            (#""subjects": ["SUBJECT", "SUBJECT"]"#, "subjects"), (#""subjects": ["SUBJECT", "subject"]"#, "subjects"),
            (#""subject": "SUBJECT""#, "subjects"), (#""subjects": ["SUBJECT"], "count": 1"#, "count"),
            (#""subjects": ["SUBJECT"], "case_reference": 1"#, "case_reference"), ("\"subjects\": [\(String(repeating: "\"x\", ", count: 1000))\"x\"]", "subjects"),
        ])
    func badBodies(_ json: String, _ field: String) async throws {
        let fund = try await Fund()
        try await fund.serve { client in
            let named = json.replacingOccurrences(of: "SUBJECT", with: fund.adaAtFund.uuidString)
                .replacingOccurrences(of: "\"subject\"]", with: "\"\(fund.adaAtFund.uuidString.lowercased())\"]")
            let reference = json.contains("case_reference") ? "" : #", "case_reference": "L-1""#
            let answer = try await client.post(address, #"{\#(named), "purpose": "proof-of-life", "attributes": ["family_name"]\#(reference)}"#)
            #expect(answer.status == 400 && answer.problem == "invalid-body")
            #expect(answer.text.contains("\"field\":\"\(field)\""), "\(answer.text)")
            #expect(try await fund.city.entryCount() == 0)
        }
    }

    @Test("Five thousand people in five calls are five thousand entries, and a withdrawal changes exactly one item")
    func fiveThousand() async throws {
        let fund = try await Fund()
        let subjects = [fund.adaAtFund] + (try await fund.addResidents(4999))
        try await fund.serve { client in
            var before: [JSONValue] = []
            for start in stride(from: 0, to: 5000, by: 1000) {
                let part = Array(subjects[start..<start + 1000])
                let answer = try await client.post(address, fund.body(part))
                #expect(answer.status == 200)
                #expect(answer.items.map { $0["subject"]?.text } == part.map { $0.uuidString.lowercased() })
                #expect(answer.items.allSatisfy { $0["refused"] == nil && $0["attributes"] != nil })
                if start == 0 { before = answer.items }
            }
            #expect(try await fund.city.entryCount() == 5000)
            #expect(try await fund.city.entryCount(where: "e.operation = 'list' AND e.count = 1000 AND e.outcome = 'permitted' AND e.case_reference = 'L-1'") == 5000)
            let counts = try await fund.city.owner.one(
                OneValue("SELECT ARRAY[count(DISTINCT subject_id), count(DISTINCT written_by)] FROM access_log.entry", of: [Int64].self))
            #expect(counts == [5000, 5])
            #expect(before[0]["attributes"] == ["family_name": "Byron"])

            #expect(try await fund.city.decide("withdrawn", fund.proof, by: fund.ada) == "recorded")
            let after = try await client.post(address, fund.body(Array(subjects[0..<1000]))).items
            #expect(after[0].refusal == "consent-missing" && after[0]["refused"]?["missing"] == ["family_name"])
            #expect(zip(before, after).dropFirst().allSatisfy { $0["subject"] == $1["subject"] && $0["attributes"] == $1["attributes"] })
            let refused = try await fund.city.owner.query(
                OneValue("SELECT e.id::text FROM access_log.entry AS e WHERE e.outcome = 'refused'", of: String.self))
            #expect(refused == [after[0]["access_entry"]?.text])
        }
    }

    @Test("Nobody, and somebody whom another organisation knows, are items of their own, whose entries are about nobody")
    func strangersOnTheList() async throws {
        let fund = try await Fund()
        let bank = try await fund.city.organisation("bank")
        let adaAtBank = try await fund.city.pseudonym(of: fund.ada, for: bank)
        try await fund.serve { client in
            let items = try await client.post(address, fund.body([UUID(), fund.adaAtFund, adaAtBank])).items
            #expect(items.map(\.refusal) == ["subject-unknown", nil, "subject-unknown"])
            #expect(items[1]["attributes"] == ["family_name": "Byron"])
            #expect(try await fund.city.entryCount(where: "e.subject_id IS NULL AND e.refusal = 'subject_unknown' AND e.count = 3") == 2)
            let more = try await client.post(address, fund.body([fund.adaAtFund], attributes: #"["family_name", "phone"]"#)).items
            #expect(more.map(\.refusal) == ["attributes-not-in-purpose"] && more[0]["refused"]?["missing"] == ["phone"])
        }
    }

    @Test("When the entries cannot be written, nothing is released", arguments: [
        "REVOKE INSERT ON access_log.entry FROM stoa_door", "ALTER TABLE access_log.entry ADD CONSTRAINT full_disk CHECK (case_reference <> 'L-1')",
    ])
    func logFails(statement: String) async throws {
        let fund = try await Fund()
        let others = try await fund.addResidents(9)
        try await fund.city.owner.execute("\(unsafeRaw: statement)")
        try await fund.serve { client in
            let answer = try await client.post(address, fund.body([fund.adaAtFund] + others))
            #expect(answer.status == 500 && answer.problem == "internal-error")
            #expect(!answer.text.contains("Byron"))
        }
        #expect(try await fund.city.entryCount() == 0)
    }

    @Test("A value that cannot be opened takes its own subject off the list and nobody else")
    func spoiltValue() async throws {
        let fund = try await Fund()
        let others = try await fund.addResidents(2)
        try await fund.city.owner.execute("UPDATE register.sealed_attribute SET sealed_value = sha256(sealed_value) WHERE attribute = 'family_name'")
        try await fund.serve { client in
            let items = try await client.post(address, fund.body([others[0], fund.adaAtFund, others[1]])).items
            #expect(items.map(\.refusal) == [nil, "internal-error", nil])
        }
    }

    @Test("The number of people is what the database counted: a list neither joins others nor speaks for two askers")
    func countIsTheDatabases() async throws {
        let fund = try await Fund()
        let second = try await fund.city.clientToken("fund")
        func authorise(_ operations: [String], _ credentials: [FixtureCredential]) -> OneValue<Int64> {
            let count = operations.count
            return OneValue(
                """
                SELECT count(*) FROM access_log.authorise(\((0..<count).map { _ in UUID() }), \(credentials.map(\.hash.bytes)), \(operations),
                    \([String](repeating: "pseudonym", count: count)), \([String](repeating: fund.adaAtFund.uuidString, count: count)),
                    \([String](repeating: "family_name", count: count)), \([String](repeating: "proof-of-life", count: count)),
                    \([String](repeating: "L-1", count: count)))
                """)
        }
        let own = fund.fund.credential
        for (operations, credentials) in [(["list", "disclose"], [own, own]), (["list", "list"], [own, second]), (["list", "own_view"], [own, fund.ada.session])] {
            await #expect(throws: DatabaseError.self) { try await fund.city.app.query(authorise(operations, credentials)) }
        }
        #expect(try await fund.city.entryCount() == 0)
        await #expect(throws: DatabaseError.self) {
            try await fund.city.app.query(authorise([String](repeating: "list", count: 1001), [FixtureCredential](repeating: own, count: 1001)))
        }
        #expect(try await fund.city.entryCount() == 0)
        _ = try await fund.city.app.query(authorise(["list", "list"], [own, own]))
        #expect(try await fund.city.entryCount(where: "e.count = 2") == 2)
    }

    @Test("The number of people is committed to: changing it is found")
    func committed() async throws {
        let fund = try await Fund()
        let signer = try Ed25519NoteSigner.generate(name: "log.example/city")
        let sequencer = Sequencer(database: fund.city.app, signer: signer, logger: Logger(label: "test"))
        try await sequencer.signEmptyTree()
        // The consents that the fund was given.
        try await sequencer.sequenceOnce()
        try await fund.serve { _ = try await $0.post(address, fund.body([fund.adaAtFund, UUID()])) }
        #expect(try await sequencer.sequenceOnce() == 2)
        let auditor = try Database(configuration: .init(url: fund.city.test.auditorURL), logger: Logger(label: "test"))
        let verifier = LogVerifier(database: auditor, verifier: signer.verifier)
        #expect(try await verifier.verify().isWhole)
        let superuser = try Database(configuration: .init(url: fund.city.test.superuserURL), logger: Logger(label: "test"))
        try await superuser.transaction { transaction in
            try await transaction.execute("SET LOCAL session_replication_role = replica")
            try await transaction.execute("UPDATE access_log.entry SET count = 1 WHERE subject_id IS NOT NULL")
        }
        await superuser.shutdown()
        let findings = try await verifier.verify().findings
        #expect(findings.count == 1 && findings[0].hasSuffix("is not what was committed to."), "\(findings)")
    }

    @Test("Single reads go on while lists are read")
    func singlesGoOn() async throws {
        let fund = try await Fund()
        let subjects = try await fund.addResidents(1000)
        let door = Door(database: try fund.city.appPool(sharedConnections: 1))
        let question = try ExchangeListBody(JSONReader(JSONScanner.scan(Array(fund.body(subjects).utf8)))).question
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let answers = try await door.read(subjects.map { question.access(.list, to: $0, credential: fund.fund.credential.hash) })
                    return answers.count { (try? $0.get()) != nil }
                }
            }
            for _ in 0..<100 {
                group.addTask {
                    _ = try await door.read(question.access(.disclose, to: fund.adaAtFund, credential: fund.fund.credential.hash))
                    return 1
                }
            }
            var permitted = 0
            for try await count in group { permitted += count }
            #expect(permitted == 4100)
        }
        // No list shares a transaction with anybody.
        let shared = try await fund.city.owner.one(
            OneValue(
                """
                SELECT count(*) FROM (SELECT FROM access_log.entry GROUP BY written_by
                    HAVING count(DISTINCT operation) > 1 OR (min(operation) = 'list' AND count(*) <> 1000)) AS mixed
                """, of: Int64.self))
        #expect(shared == 0)
        #expect(try await fund.city.entryCount() == 4100)
    }
}
