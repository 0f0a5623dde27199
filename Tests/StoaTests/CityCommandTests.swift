// Commands against a database of the city's own, as its engineers run them: what they enter, what they refuse, and what a refusal leaves behind.
import AccessLog
import ArgumentParser
import City
import Foundation
import Logging
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import Stoa

@Suite("Commands on a city's database")
struct CityCommandTests {
    /// A city, and a settings file that names its database to the commands.
    private struct Town {
        let city: CityFixture
        let folder: URL

        init() async throws {
            city = try await CityFixture.make()
            folder = try TemporaryFolder.make()
        }

        /// - Returns: the options that every command takes. The data directory does not exist.
        func options(_ database: String) throws -> [String] {
            let file = folder.appendingPathComponent("stoa.yaml")
            try Data("database: {\(database)}\n".utf8).write(to: file)
            return ["--config", file.path, "--data", data]
        }

        var ownerOptions: [String] {
            get throws { try options("url: \"\(city.test.appURL)\", migration_url: \"\(city.test.ownerURL)\"") }
        }

        var data: String { folder.appendingPathComponent("data").path }

        func file(_ name: String, _ text: String = "") throws -> String {
            let place = folder.appendingPathComponent(name)
            if !text.isEmpty { try Data(text.utf8).write(to: place) }
            return place.path
        }

        /// - Returns: what the command says when it refuses.
        func run(_ arguments: [String]) async -> String {
            do {
                guard var command = try StoaCommand.parseAsRoot(arguments) as? any AsyncParsableCommand else { return "no such command" }
                try await command.run()
                return "done"
            } catch let code as ExitCode {
                return "exit \(code.rawValue)"
            } catch {
                return "\(error)"
            }
        }

        func count(_ sql: SQL) async throws -> Int64 { try await city.owner.one(OneValue(sql, of: Int64.self)) }
    }

    // MARK: Organisations

    @Test("An organisation is entered with its client and a key that only its owner can read; again it is refused, and nothing is left behind")
    func organisation() async throws {
        let town = try await Town()
        let (key, another) = (try town.file("one.jwk.json"), try town.file("two.jwk.json"))
        let create = ["organisation", "create", "--id", "harbour", "--name", "Harbour", "--kind", "health"]
        #expect(try await town.run(create + ["--new-private-key", key] + town.ownerOptions) == "done")
        #expect(try FileManager.default.attributesOfItem(atPath: key)[.posixPermissions] as? NSNumber == 0o600)
        #expect(try await town.count("SELECT count(*) FROM openid.client WHERE organisation_id = 'harbour'") == 1)
        #expect(try await town.run(create + ["--new-private-key", another] + town.ownerOptions).contains("There is an organisation"))
        #expect(!FileManager.default.fileExists(atPath: another))
        #expect(try await town.run(create + ["--new-private-key", key] + town.ownerOptions).contains("never overwritten"))
        #expect(FileManager.default.fileExists(atPath: key))
    }

    @Test("An organisation whose key is none is not entered, so that it can be entered with a good one")
    func organisationWithoutKey() async throws {
        let town = try await Town()
        let create = ["organisation", "create", "--id", "harbour", "--name", "Harbour"]
        #expect(try await town.run(create + ["--public-key", town.file("missing.json")] + town.ownerOptions).contains("--new-private-key"))
        #expect(try await town.run(create + ["--public-key", town.file("bad.json", "{}")] + town.ownerOptions).contains("keys"))
        #expect(try await town.count("SELECT count(*) FROM consent.organisation WHERE id = 'harbour'") == 0)
        #expect(try await town.run(create + ["--new-private-key", town.file("key.json")] + town.ownerOptions) == "done")
    }

    @Test("A webhook is set with the organisation or later, and ended; what can be none is refused before anything is entered")
    func webhook() async throws {
        let town = try await Town()
        let create = ["organisation", "create", "--id", "harbour", "--name", "Harbour", "--new-private-key", try town.file("key.json")]
        let set = ["organisation", "set", "--id", "harbour"]
        let options = try town.ownerOptions
        #expect(await town.run(create + ["--webhook", "http://harbour.example/"] + options).contains("cannot be a webhook"))
        #expect(try await town.count("SELECT count(*) FROM consent.organisation WHERE id = 'harbour'") == 0)
        #expect(await town.run(create + ["--webhook", "https://harbour.example/stoa"] + options) == "done")
        let url = { try await town.city.owner.query(OneValue("SELECT url FROM exchange.webhook WHERE organisation_id = 'harbour'", of: String.self)) }
        #expect(try await url() == ["https://harbour.example/stoa"])
        #expect(await town.run(set + options).contains("Give either --webhook or --no-webhook."))
        #expect(await town.run(set + ["--webhook", "https://harbour.example:8443/new"] + options) == "done")
        #expect(try await url() == ["https://harbour.example:8443/new"])
        #expect(await town.run(set + ["--no-webhook"] + options) == "done")
        #expect(try await url() == [])
        #expect(await town.run(["organisation", "set", "--id", "nobody", "--webhook", "https://harbour.example/"] + options).contains("There is no organisation"))
    }

    @Test("Every kind of the register can be given")
    func kinds() async throws {
        let town = try await Town()
        for kind in OrganisationCreateCommand.Kind.allCases {
            let id = "o-" + kind.rawValue.replacing("_", with: "-")
            try await town.city.owner.execute("INSERT INTO consent.organisation (id, name, kind) VALUES (\(id), '{\"en\": \"O\"}', \(kind.rawValue))")
        }
        let rule = "SELECT (length(r) - length(replace(r, '''', '')))::bigint / 2"
        let quoted = try await town.count(
            "\(unsafeRaw: rule) FROM (SELECT pg_get_constraintdef(oid) AS r FROM pg_constraint WHERE conname = 'organisation_kind_check') AS c")
        #expect(quoted == Int64(OrganisationCreateCommand.Kind.allCases.count))
    }

    // MARK: Purposes

    private static func purpose(
        _ name: String = "care", basis: String = "consent", law: String? = nil, attributes: String = #"["phone"]"#, title: String = #"{"en": "Care"}"#
    ) -> String {
        let law = law.map { #", "law": "\#($0)""# } ?? ""
        return #"[{"purpose": "\#(name)", "legal_basis": "\#(basis)"\#(law), "attributes": \#(attributes), "title": \#(title), "explanation": {"en": "Why."}}]"#
    }

    @Test("Refused purposes are told with what to change, and nothing is entered", arguments: [
        ("not JSON", "is not a list of purposes"), ("{}", "is not a list of purposes"),
        (purpose(attributes: #"["shoe_size"]"#), "known kinds of data"), (purpose(basis: "habit"), "It is one of consent, contract"),
        (purpose(basis: "public_task"), "a law is named exactly where"), (purpose(law: "Health Act § 3"), "a law is named exactly where"),
        (purpose("Care!"), "2 to 63 small letters"), (purpose(title: #"{"fr": "Soins"}"#), "under \"en\""), (purpose(title: #"{"en": "Care", "de": "Pflege"}"#), "under \"en\""),
    ])
    func refusedPurposes(text: String, words: String) async throws {
        let town = try await Town()
        _ = try await town.city.organisation("clinic")
        let said = try await town.run(["organisation", "add-purposes", "--id", "clinic", town.file("purposes.json", text)] + town.ownerOptions)
        #expect(said.contains(words), "\(said)")
        #expect(try await town.count("SELECT count(*) FROM consent.processing_activity WHERE organisation_id = 'clinic'") == 0)
    }

    @Test("Good purposes are entered once, with their texts; for nobody they are refused")
    func purposes() async throws {
        let town = try await Town()
        _ = try await town.city.organisation("clinic")
        let file = try town.file("purposes.json", Self.purpose(basis: "public_task", law: "Health Act § 3", title: #"{"en": "Care", "fr": "Soins"}"#))
        let options = try town.ownerOptions
        #expect(await town.run(["organisation", "add-purposes", "--id", "nobody", file] + options).contains("there is no such organisation"))
        for _ in 1...2 {
            #expect(await town.run(["organisation", "add-purposes", "--id", "clinic", file] + options) == "done")
            #expect(
                try await town.count(
                    """
                    SELECT count(*) FROM consent.processing_activity AS a JOIN consent.policy AS p ON p.activity_id = a.id
                    WHERE a.organisation_id = 'clinic' AND a.law = 'Health Act § 3' AND p.title ->> 'fr' = 'Soins' AND p.attributes = '{phone}'
                    """) == 1)
        }
    }

    // MARK: Verification

    @Test("An auditor with a connection and the published key verifies the log; another's key, and a changed row, are found")
    func verification() async throws {
        let town = try await Town()
        let (resident, staff) = (try await town.city.resident(), try await town.city.staff(roles: [.caseworker]))
        let signer = try Ed25519NoteSigner.generate(name: "log.example/test")
        let sequencer = Sequencer(database: town.city.app, signer: signer, logger: Logger(label: "test"))
        try await sequencer.signEmptyTree()
        let door = Door(database: town.city.app)
        for _ in 1...3 {
            _ = try await door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [],
                    purpose: "assistance", caseReference: "C-1"))
        }
        #expect(try await sequencer.sequenceOnce() == 3)

        let auditor = try town.options("auditor_url: \"\(town.city.test.auditorURL)\"")
        let verify = ["verify", "log", "--vkey"]
        #expect(await town.run(verify + [signer.verifier.vkey] + auditor) == "done")
        #expect(await town.run(verify + [try Ed25519NoteSigner.generate(name: "log.example/test").verifier.vkey] + auditor) == "exit 1")
        #expect(await town.run(verify + ["not-a-key"] + auditor).contains("is not of the form name+id+key"))
        let superuser = try Database(configuration: .init(url: town.city.test.superuserURL), logger: Logger(label: "test"))
        try await superuser.transaction { transaction in
            try await transaction.execute("SET LOCAL session_replication_role = replica")
            try await transaction.execute("UPDATE access_log.entry SET case_reference = 'C-2'")
        }
        await superuser.shutdown()
        #expect(await town.run(verify + [signer.verifier.vkey] + auditor) == "exit 1")
        // No key, no data directory: the auditor's machine holds neither.
        #expect(!FileManager.default.fileExists(atPath: town.data))
    }

    @Test("A proof is checked without settings, database or data directory, and a changed one is told")
    func verifyEntry() async throws {
        let town = try await Town()
        let resident = try await town.city.resident()
        let signer = try Ed25519NoteSigner.generate(name: "log.example/test")
        let door = Door(database: town.city.app)
        let sequencer = Sequencer(database: town.city.app, signer: signer, logger: Logger(label: "test"))
        let staff = try await town.city.staff(roles: [.caseworker])
        let search = AccessRequest(
            credential: staff.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [], purpose: "assistance",
            caseReference: "C-1")
        _ = try await door.read(search)
        #expect(try await sequencer.sequenceOnce() == 1)
        let proof = try await town.city.serve({ AccessLogRoutes(database: town.city.app, entries: AccessEntries(database: town.city.app, door: door), heads: LogHeads(database: town.city.app, verifier: signer.verifier)).add(to: $0) }) { client in
            try await CityBrowser(client, session: resident.session).get("/access-log/\(search.id)/proof").text
        }
        let file = try town.file("entry.tlog-proof", proof)
        let changed = try town.file("changed.tlog-proof", proof.replacing("index 0", with: "index 1"))
        // What the person's own settings say is not even looked at.
        let verify = ["verify", "entry", "--vkey", signer.verifier.vkey]
        #expect(await town.run(verify + [file]) == "done")
        #expect(await town.run(verify + [changed]) == "exit 1")
        #expect(await town.run(verify + [try town.file("none")]).contains("cannot be read"))
        #expect(await town.run(["verify", "entry", "--vkey", try Ed25519NoteSigner.generate(name: signer.name).verifier.vkey, file]) == "exit 1")
        #expect(await town.run(["verify", "entry", "--vkey", "not-a-key", file]).contains("is not of the form name+id+key"))
        #expect(await town.run(["verify", "entry", "--vkey", signer.verifier.vkey.replacing("log.example", with: "log.exmple"), file]).contains("was mistyped"))
        #expect(await town.run(verify + ["--witness", signer.verifier.vkey, file]).contains("--witness is of another kind"))
        #expect(await town.run(verify + ["--witness", try CosignatureSigner.generate(name: "w").verifier.vkey, file]) == "done")
        let fromWindows = try town.file("windows.tlog-proof", proof.replacing("\n", with: "\r\n"))
        #expect(await town.run(verify + [fromWindows]) == "done")
        #expect(!FileManager.default.fileExists(atPath: town.data))
    }

    // MARK: What is noticed before anything is made

    @Test("A file that cannot be imported is told before a database is made for it")
    func imports() async throws {
        let folder = try TemporaryFolder.make()
        let data = folder.appendingPathComponent("data").path
        let town = try await Town()
        #expect(await town.run(["import", "residents", folder.path, "--data", data]).contains("is a directory"))
        #expect(await town.run(["import", "residents", folder.path + "/none.csv", "--data", data]).contains("There is no file"))
        #expect(!FileManager.default.fileExists(atPath: data))
    }

    @Test("A port in use is told before a database and keys are made", arguments: ["serve", "demo"])
    func portInUse(command: String) async throws {
        let town = try await Town()
        let (socket, port) = try Self.listen()
        defer { close(socket) }
        let said = await town.run([command, "--port", "\(port)", "--data", town.data])
        #expect(said.contains("Port \(port)") && said.contains("in use"), "\(said)")
        #expect(!FileManager.default.fileExists(atPath: town.data))
    }

    /// Another program's port.
    private static func listen() throws -> (socket: Int32, port: UInt16) {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, size) == 0 && Foundation.listen(socket, 1) == 0 && getsockname(socket, $0, &size) == 0 }
        }
        try #require(isListening)
        return (socket, UInt16(bigEndian: address.sin_port))
    }
}
