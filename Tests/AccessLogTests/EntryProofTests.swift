// Residents take a proof of an entry home. Only theirs, only after their view is logged; and whatever is changed in the file is found.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import AccessLog

@Suite("Proof of an entry")
struct EntryProofTests {
    /// A town in which a caseworker looked the resident up `count` times, each with its leaf.
    private struct Looked {
        let town: LogTown
        let staff: FixtureStaff
        let entries: [AccessEntryID]

        init(_ count: Int = 3) async throws {
            town = try await LogTown.make()
            staff = try await town.city.staff(roles: [.caseworker])
            try await town.sequencer.signEmptyTree()
            try await look(count, at: town.resident, by: staff, through: town.door)
            try await town.sequencer.sequenceOnce()
            entries = try await town.city.owner.query(OneValue("SELECT id FROM access_log.entry ORDER BY id", of: UUID.self)).map { AccessEntryID($0) }
        }

        func file(of entry: AccessEntryID, for credential: FixtureCredential) async throws -> String {
            try await ProveEntry(credential: credential.hash, entry: entry)
                .perform(entries: town.entries, database: town.city.app, heads: town.heads)
        }

        func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
            try await town.city.serve {
                AccessLogRoutes(database: town.city.app, entries: town.entries, heads: town.heads).add(to: $0)
                PublicLogRoutes(database: town.city.app, heads: town.heads).add(to: $0)
            } _: { try await body($0) }
        }
    }

    @Test("The file shows the entry, word for word, without the database")
    func stands() async throws {
        let looked = try await Looked()
        for entry in looked.entries {
            let file = try await looked.file(of: entry, for: looked.town.resident.session)
            let proven = try ProvenEntry(checking: file.utf8, log: looked.town.signer.verifier)
            #expect(proven.entry?.id == entry.uuid && proven.entry?.caseReference == "CASE-1" && proven.treeSize == 3)
            #expect(proven.entry?.actorID == looked.staff.id.description && proven.entry?.subjectID == looked.town.resident.id.uuid)
            #expect(proven.lines.contains { $0.hasPrefix("Purpose") && $0.hasSuffix("assistance") })
        }
    }

    @Test("Any byte that is changed in the file is found: in salt, entry, place, path or head")
    func changed() async throws {
        let looked = try await Looked(5)
        let log = looked.town.signer.verifier
        let text = try await looked.file(of: looked.entries[1], for: looked.town.resident.session)
        let file = Array(text.utf8)
        for position in file.indices {
            var wrong = file
            wrong[position] ^= 1 << UInt8(position % 8)
            #expect(throws: EntryProofFault.self, "byte \(position)") { try ProvenEntry(checking: wrong, log: log) }
        }
        // Bit by bit through what is committed to, under the file's own base 64.
        let proof = try LogProof(parsing: file)
        for position in proof.extra.indices {
            var extra = proof.extra
            extra[position] ^= 1 << UInt8(position % 8)
            let wrong = LogProof(extra: extra, index: proof.index, path: proof.path, checkpoint: proof.checkpoint).description
            let expected: EntryProofFault = position < CommittedEntry.label.bytes.count ? .unreadable : .notIncluded
            #expect(throws: expected, "byte \(position)") { try ProvenEntry(checking: wrong.utf8, log: log) }
        }
        let other = try LogProof(parsing: try await looked.file(of: looked.entries[2], for: looked.town.resident.session).utf8)
        for mixed in [
            LogProof(extra: other.extra, index: proof.index, path: proof.path, checkpoint: proof.checkpoint),
            LogProof(extra: proof.extra, index: other.index, path: proof.path, checkpoint: proof.checkpoint),
            LogProof(extra: proof.extra, index: proof.index, path: other.path, checkpoint: proof.checkpoint),
            LogProof(extra: proof.extra, index: proof.index, path: [], checkpoint: proof.checkpoint),
        ] {
            #expect(throws: EntryProofFault.notIncluded) { try ProvenEntry(checking: mixed.description.utf8, log: log) }
        }
        let stranger = try Ed25519NoteSigner.generate(name: log.name)
        #expect(throws: EntryProofFault.headNotSigned) { try ProvenEntry(checking: file, log: stranger.verifier) }
        let forged = try Checkpoint(origin: log.name, size: 5, root: .leaf([1])).signed(by: [stranger]).description
        let forgery = LogProof(extra: proof.extra, index: proof.index, path: proof.path, checkpoint: forged).description
        #expect(throws: EntryProofFault.headNotSigned) { try ProvenEntry(checking: forgery.utf8, log: log) }
        for (nonsense, line) in [("", nil), ("\n", nil), ("c2sp.org/tlog-proof@v1\n", nil), (checkpointOnly(text), 1)] {
            #expect(throws: EntryProofFault.malformed(line: line)) { try ProvenEntry(checking: nonsense.utf8, log: log) }
        }
        // Where the trouble is.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for (line, broken) in [(1, "c2sp.org/tlog-proof@v2"), (2, "extra ?"), (3, "index 01"), (4, "AAAA")] {
            var wrong = lines
            wrong[line - 1] = broken
            #expect(throws: EntryProofFault.malformed(line: line)) { try ProvenEntry(checking: wrong.joined(separator: "\n").utf8, log: log) }
        }
        // A file that went through mail or Windows.
        #expect(try ProvenEntry(checking: text.replacing("\n", with: "\r\n").utf8, log: log).index == proof.index)
    }

    private func checkpointOnly(_ file: String) -> String { file.split(separator: "\n\n", maxSplits: 1).last.map(String.init) ?? "" }

    @Test("A proof that was kept stands when the log has grown, and a new one of the same entry stands as well")
    func kept() async throws {
        let looked = try await Looked()
        let old = try await looked.file(of: looked.entries[0], for: looked.town.resident.session)
        try await grow(looked.town, by: 300, looked.staff)
        while try await looked.town.sequencer.sequenceOnce() > 0 {}
        let new = try await looked.file(of: looked.entries[0], for: looked.town.resident.session)
        #expect(old != new)
        for file in [old, new] { #expect(throws: Never.self) { try ProvenEntry(checking: file.utf8, log: looked.town.signer.verifier) } }
    }

    @Test("Others' entries, unknown ones and erased ones are the same 404; nobody gets one without a credential that may read the log")
    func otherPeople() async throws {
        let looked = try await Looked()
        let city = looked.town.city
        let (bob, entry) = (try await city.resident(["given_names": "Bob"]), looked.entries[0])
        let tokens = (log: try await city.appToken(of: bob, scope: ["access_log"]), profile: try await city.appToken(of: looked.town.resident, scope: ["profile"]))
        let ada = try await city.appToken(of: looked.town.resident, scope: ["access_log"])
        #expect(try await city.owner.one(OneValue("SELECT access_log.erase_entry(\(looked.entries[2].uuid), 'Court order 12/2026')", of: Bool.self)))
        try await looked.serve { client in
            let bobsApp = CityAPIClient(client, token: tokens.log)
            let adasApp = CityAPIClient(client, token: ada)
            let path = "/api/v1/access-entries/\(entry)/proof"
            let (foreign, unknown) = (try await bobsApp.get(path), try await bobsApp.get("/api/v1/access-entries/\(UUID())/proof"))
            #expect(foreign.status == 404 && foreign.text == unknown.text)
            #expect(try await adasApp.get("/api/v1/access-entries/\(looked.entries[2])/proof").text == unknown.text)
            #expect(try await adasApp.get("/api/v1/access-entries/nonsense/proof").status == 404)
            #expect(try await CityAPIClient(client, token: tokens.profile).get(path).problem == "insufficient-scope")
            #expect(try await CityAPIClient(client, token: nil).get(path).status == 401)
            #expect(try await CityBrowser(client, session: bob.session).get("/access-log/\(entry)/proof").status == 404)
            #expect(try await CityBrowser(client, session: looked.staff.session).get("/access-log/\(entry)/proof").status == 403)
            #expect(try await CityBrowser(client).get("/access-log/\(entry)/proof").status == 303)

            let mine = try await adasApp.get(path)
            #expect(mine.status == 200 && mine.headers[.contentType] == "text/plain; charset=utf-8" && mine.headers[.cacheControl] == "no-store")
            #expect(mine.headers[.contentDisposition] == "attachment; filename=\"\(entry).tlog-proof\"")
            let page = try await CityBrowser(client, session: looked.town.resident.session).get("/access-log/\(entry)/proof")
            #expect(try ProvenEntry(checking: page.text.utf8, log: looked.town.signer.verifier).entry?.id == entry.uuid)
        }
        // Each of the two looked, once a credential; and so did Bob, at his own.
        #expect(try await city.entryCount(where: "e.operation = 'own_view' AND e.purpose = 'access_log'") == 4)
    }

    @Test("Salt and entry come out only after a view that is logged and committed")
    func notLogged() async throws {
        let looked = try await Looked()
        let (city, resident) = (looked.town.city, looked.town.resident)
        let question = OwnEntry(credential: resident.session.hash, entry: looked.entries[0])
        #expect(try await city.app.query(question).isEmpty)
        let inOneTransaction = try await city.app.transaction { transaction in
            _ = try await transaction.query(
                AuthoriseAccess(requests: [
                    AccessRequest(
                        credential: resident.session.hash, operation: .ownView, subject: .own, attributes: [], purpose: "access_log", caseReference: "")
                ]))
            return try await transaction.query(question).count
        }
        #expect(inOneTransaction == 0)
        #expect(try await city.app.query(question).count == 1)
        try await city.revoke(resident.session)
        #expect(try await city.app.query(question).isEmpty)
        for statement: SQL in ["SELECT salt FROM access_log.entry", "SELECT commitment FROM access_log.leaf"] {
            await #expect(throws: DatabaseError.self) { try await city.app.execute(statement) }
        }
    }

    @Test("What was logged about the record before the counter linked the account is proven too")
    func earlierRecord() async throws {
        let looked = try await Looked()
        let city = looked.town.city
        let successor = try await city.resident(["given_names": "Ada", "family_name": "Lovelace"])
        try await city.owner.execute("UPDATE register.resident SET superseded_by = \(successor.id.uuid) WHERE id = \(looked.town.resident.id.uuid)")
        let file = try await looked.file(of: looked.entries[0], for: successor.session)
        #expect(try ProvenEntry(checking: file.utf8, log: looked.town.signer.verifier).entry?.subjectID == looked.town.resident.id.uuid)
    }

    @Test("An entry without a leaf yet is asked to come back for, on the page and by programs")
    func notInTreeYet() async throws {
        let looked = try await Looked()
        try await look(1, at: looked.town.resident, by: looked.staff, through: looked.town.door)
        let waiting = try await looked.town.city.owner.one(OneValue("SELECT entry_id FROM access_log.queue", of: UUID.self))
        let token = try await looked.town.city.appToken(of: looked.town.resident, scope: ["access_log"])
        try await looked.serve { client in
            let answer = try await CityAPIClient(client, token: token).get("/api/v1/access-entries/\(waiting)/proof")
            #expect(answer.status == 409 && answer.problem == "entry-not-in-tree-yet" && answer.headers[.retryAfter] == "1")
            let page = try await CityBrowser(client, session: looked.town.resident.session).get("/access-log/\(waiting)/proof")
            #expect(page.status == 409 && page.text.contains("<h1>Come back in a moment</h1>"))
            try await looked.town.sequencer.sequenceOnce()
            #expect(try await CityAPIClient(client, token: token).get("/api/v1/access-entries/\(waiting)/proof").status == 200)
        }
    }

    @Test("The page checks what is pasted, says what it says or what is wrong, and keeps nothing")
    func page() async throws {
        let looked = try await Looked()
        let file = try await looked.file(of: looked.entries[0], for: looked.town.resident.session)
        let count = try await looked.town.city.entryCount()
        try await looked.serve { client in
            let browser = CityBrowser(client)
            let form = try await browser.get("/log/verify")
            #expect(form.status == 200 && form.text.contains(looked.town.signer.verifier.name) && !form.text.contains("The proof stands"))
            // Browsers send line ends as CR LF.
            for pasted in [file, file.replacing("\n", with: "\r\n"), "\n  " + file + "\n\n"] {
                let answer = try await browser.post("/log/verify", [("proof", pasted)])
                #expect(answer.status == 200 && answer.text.contains("The proof stands") && answer.text.contains("The city: somebody looked you up"))
                #expect(answer.text.contains("CASE-1") && answer.text.contains(">\(looked.entries[0])<") && !answer.text.contains("tlog-proof@v1"))
            }
            let extraLine = try #require(file.split(separator: "\n").first { $0.hasPrefix("extra ") })
            let otherExtra = extraLine.prefix(60) + (extraLine.dropFirst(60).first == "A" ? "B" : "A") + extraLine.dropFirst(61)
            for (wrong, words) in [
                ("", "Fill in this field"), ("nonsense", "This is not a whole proof"), (file.replacing("index ", with: "index 1"), "is not what stands in the log"),
                (file.replacing(extraLine, with: otherExtra), "is not what stands in the log"),
                (file.replacing("\(looked.town.signer.name)\n", with: "log.example/other\n"), "signature does not fit"),
            ] {
                let answer = try await browser.post("/log/verify", [("proof", wrong)])
                #expect(answer.status == 422 && answer.text.contains(words) && !answer.text.contains("The proof stands"), "\(words): \(answer.status)")
            }
            #expect(try await browser.post("/log/verify", [("proof", file), ("form_token", "x")]).status == 403)
            for (language, words) in [("fr", "La preuve est valable."), ("ar", "الإثبات صحيح.")] {
                browser.acceptLanguage = language
                #expect(try await browser.post("/log/verify", [("proof", file)]).text.contains(words))
            }
        }
        #expect(try await looked.town.city.entryCount() == count)
    }

    @Test("Names that others chose reach a terminal without control characters")
    func controlCharacters() throws {
        let entry = CommittedEntry(
            id: UUID(), at: Date(timeIntervalSince1970: 1_795_000_000), subjectID: nil, actorKind: "organisation", actorID: "c", actorRole: "organisation",
            organisationID: "c", clientID: "c", operation: "disclose", attributes: ["\u{1B}[31mred\u{202E}"], purpose: "care\u{7}", legalBasis: nil, law: nil,
            consentEventID: nil, caseReference: "K", outcome: "refused", refusal: "purpose_unknown", subjectNumber: nil, previousCommitment: nil, count: 12,
            breakGlass: UUID())
        let read = try #require(CommittedEntry(canonicalBytes: entry.canonicalBytes))
        #expect(read.canonicalBytes == entry.canonicalBytes && read.attributes == entry.attributes && read.breakGlass == entry.breakGlass)
        let signer = try Ed25519NoteSigner.generate(name: "log.example/test")
        let salt = [UInt8](repeating: 1, count: 32)
        let root = MerkleHash.leaf(try entry.commitment(salt: salt).leafData)
        let file = LogProof(
            extra: CommittedEntry.opening(salt: salt, canonicalBytes: entry.canonicalBytes), index: 0, path: [],
            checkpoint: try Checkpoint(origin: signer.name, size: 1, root: root).signed(by: [signer]).description)
        let lines = try ProvenEntry(checking: file.description.utf8, log: signer.verifier).lines
        #expect(lines.contains { $0.hasSuffix(" [31mred") } && lines.contains { $0.hasSuffix(" care") } && lines.contains { $0.hasSuffix(" 12 people") })
        #expect(!lines.contains { $0.unicodeScalars.contains { $0.value < 0x20 || $0 == "\u{202E}" } })
    }
}
