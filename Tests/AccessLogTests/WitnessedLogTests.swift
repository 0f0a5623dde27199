// A log and its witnesses: heads are signed by both, and a log that is behind what a witness saw stops before it signs anything. The witnesses here are
// the real ones of another city's database.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import NIOCore
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web
import Witness

@testable import AccessLog

/// Another city that signs for a log.
private struct Neighbour {
    let city: CityFixture
    let signer: CosignatureSigner

    init(_ name: String = "neighbour.example/witness") async throws {
        city = try await CityFixture.make()
        signer = try CosignatureSigner.generate(name: name)
    }

    var witness: LogWitness { LogWitness(prefix: "https://\(signer.verifier.name)", verifier: signer.verifier) }

    /// Its answers, as long as `body` runs.
    func serve<Value: Sendable>(for log: Ed25519NoteVerifier, _ body: @Sendable (@escaping WitnessTransport) async throws -> Value) async throws -> Value {
        try await city.serve {
            WitnessRoutes(database: city.app, logs: WitnessedLogs(keys: [log]), signer: signer).add(to: $0)
        } _: { client in
            try await body { _, text in
                let answer = try await client.executeRequest(uri: "/witness/add-checkpoint", method: .post, headers: [:], body: ByteBuffer(string: text))
                return WitnessResponse(status: answer.status.code, contentType: answer.headers[.contentType], body: Array(answer.body.readableBytesView))
            }
        }
    }
}

/// A town whose log has witnesses.
private struct WitnessedTown {
    let town: LogTown
    let staff: FixtureStaff
    let witnesses: [LogWitness]
    let sequencer: Sequencer
    let ask: AskWitnesses
    let heads: LogHeads

    /// - Parameter signer: of the log; another town's where this one is that town's backup.
    init(_ witnesses: [LogWitness], signer: Ed25519NoteSigner? = nil) async throws {
        town = try await LogTown.make()
        staff = try await town.city.staff(roles: [.caseworker])
        self.witnesses = witnesses
        let signer = signer ?? town.signer
        sequencer = Sequencer(database: town.city.app, signer: signer, isWitnessed: true, logger: Logger(label: "test"))
        ask = AskWitnesses(database: town.city.app, verifier: signer.verifier, witnesses: witnesses, logger: Logger(label: "test"))
        heads = LogHeads(database: town.city.app, verifier: signer.verifier, witnesses: witnesses.map(\.verifier))
        try await sequencer.signEmptyTree()
    }

    func look(_ count: Int) async throws { try await AccessLogTests.look(count, at: town.resident, by: staff, through: town.door) }

    var leafCount: Int64 {
        get async throws { try await town.city.owner.one(OneValue("SELECT count(*) FROM access_log.leaf", of: Int64.self)) }
    }
}

@Suite("A log with witnesses")
struct WitnessedLogTests {
    private let nobody: WitnessTransport = { _, _ in throw CancellationError() }

    @Test("Nothing is signed before a witness has answered; then heads grow, and the newest that it signed is shown with its signature")
    func story() async throws {
        let neighbour = try await Neighbour()
        let mine = try await WitnessedTown([neighbour.witness])
        let log = mine.town.signer.verifier
        try await neighbour.serve(for: log) { send in
            try await mine.look(3)
            #expect(try await mine.sequencer.sequenceOnce() == 0)
            let silent = try await mine.ask.round(nobody)
            #expect(silent.isWaiting && !silent.isConfirmed)
            #expect(try await mine.sequencer.sequenceOnce() == 0)

            let first = try await mine.ask.round(send)
            #expect(first.outcomes == [neighbour.witness: .cosigned] && first.isConfirmed)
            #expect(try await mine.sequencer.sequenceOnce() == 3)
            #expect(try await mine.ask.round(send).outcomes == [neighbour.witness: .cosigned])
            #expect(try await mine.ask.round(send).outcomes == [neighbour.witness: .upToDate])
            let shown = try #require(try await mine.heads.published())
            #expect(try shown.tree.size == 3 && shown.note.verify([log, neighbour.signer.verifier]).count == 2)

            // A newer head does not hide the one that the witness stands behind, for a minute.
            try await mine.look(400)
            #expect(try await mine.sequencer.sequenceOnce() == 400)
            #expect(try await mine.heads.published()?.tree.size == 3)
            #expect(try await mine.heads.newest()?.tree.size == 403)
            try await mine.town.tamper(["UPDATE access_log.checkpoint SET signed_at = signed_at - interval '61 seconds'"])
            #expect(try await mine.heads.published()?.tree.size == 403)
            #expect(try await mine.heads.published()?.note.signatures.count == 1)
            #expect(try await mine.ask.round(send).outcomes == [neighbour.witness: .cosigned])
            #expect(try await mine.heads.published()?.note.signatures.count == 2)
        }
        let auditor = LogVerifier(
            database: try Database(configuration: .init(url: mine.town.city.test.auditorURL), logger: Logger(label: "test")), verifier: log)
        let result = try await auditor.verify()
        #expect(result.findings == [] && result.cosignatureCount == 3 && result.checkpointCount == 3)
        try await mine.town.tamper(["UPDATE access_log.cosignature SET signature = set_byte(signature, 71, get_byte(signature, 71) # 1) WHERE tree_size = 3"])
        #expect(try await auditor.verify().findings.count == 1)
        #expect(try await mine.heads.published()?.tree.size == 403)
    }

    @Test("A log that was restored from an old backup stops, says so, and signs nothing more; reads go on and wait")
    func restored() async throws {
        let neighbour = try await Neighbour()
        let live = try await WitnessedTown([neighbour.witness])
        let signer = live.town.signer
        let backup = try await WitnessedTown([neighbour.witness], signer: signer)
        try await neighbour.serve(for: signer.verifier) { send in
            try await live.ask.round(send)
            try await live.look(5)
            try await live.sequencer.sequenceOnce()
            try await live.ask.round(send)

            // The backup is older than what the neighbour has seen. It has entries that wait.
            try await backup.look(2)
            let round = try await backup.ask.round(send)
            #expect(round.outcomes == [neighbour.witness: .contradicts] && !round.isConfirmed && !round.isWaiting)
            #expect(try await backup.sequencer.sequenceOnce() == 0)
            let halts = try await backup.town.city.app.query(StandingHalts())
            let halt = try #require(halts.first)
            #expect(halts.count == 1 && halt.treeSize == 0 && halt.witnessSize == 5)
            #expect(halt.description.contains("neighbour.example/witness has seen 5 leaves of this log, and this database signed 0"))
            #expect(try await backup.town.city.app.one(IsLogHalted()))
            // Also a program that does not ask is refused by the database, and nobody's read is.
            let careless = Sequencer(database: backup.town.city.app, signer: signer, logger: Logger(label: "test"))
            #expect(try await careless.sequenceOnce() == 0)
            await #expect(throws: DatabaseError.self) {
                try await backup.town.city.app.transaction { transaction in
                    let leaves = try await transaction.query(SequenceEntries(entriesMax: 10))
                    try await transaction.execute(
                        "INSERT INTO access_log.checkpoint (tree_size, root, frontier, note) VALUES (\(Int64(leaves.count)), sha256('x'), '{}', 'n')")
                }
            }
            try await backup.look(1)
            #expect(try await backup.leafCount == 0)
            #expect(try await backup.town.city.entryCount() == 3)
            #expect(try await backup.ask.round(send).outcomes == [neighbour.witness: .contradicts])
            #expect(try await backup.town.city.app.query(StandingHalts()).count == 1)
            let findings = try await backup.town.verifier.verify().findings
            #expect(findings.contains { $0.hasPrefix("The log has stopped: ") }, "\(findings)")

            // The owner decides, on record; as long as the witness is asked it says the same.
            await #expect(throws: DatabaseError.self) { try await EndHalt(owner: backup.town.city.app).perform(authority: "City council 12/2026") }
            #expect(try await EndHalt(owner: backup.town.city.owner).perform(authority: "City council 12/2026").count == 1)
            #expect(try await backup.town.city.app.query(StandingHalts()).isEmpty)
            #expect(try await backup.ask.round(send).outcomes == [neighbour.witness: .contradicts])
            _ = try await EndHalt(owner: backup.town.city.owner).perform(authority: "City council 12/2026")
            #expect(try await careless.sequenceOnce() == 3)
        }
    }

    @Test("Another tree of the same size stops the log as well")
    func forked() async throws {
        let neighbour = try await Neighbour()
        let live = try await WitnessedTown([])
        let signer = live.town.signer
        let fork = try await WitnessedTown([neighbour.witness], signer: signer)
        let asking = AskWitnesses(database: live.town.city.app, verifier: signer.verifier, witnesses: [neighbour.witness], logger: Logger(label: "test"))
        try await neighbour.serve(for: signer.verifier) { send in
            for town in [live, fork] {
                try await town.look(4)
                #expect(try await Sequencer(database: town.town.city.app, signer: signer, logger: Logger(label: "test")).sequenceOnce() == 4)
            }
            #expect(try await asking.round(send).outcomes == [neighbour.witness: .cosigned])
            #expect(try await fork.ask.round(send).outcomes == [neighbour.witness: .contradicts])
            let halt = try #require(try await fork.town.city.app.query(StandingHalts()).first)
            #expect(halt.witnessSize == nil && halt.description.contains("has seen another tree"))
        }
    }

    @Test("A witness that is away, slow to learn or talks nonsense stops nothing", arguments: [
        (200, "text/plain", ""), (200, "text/plain", "— w AAAA\n"), (403, "text/plain", ""), (404, "text/plain", ""), (409, "text/plain", "99\n"),
        (409, "text/x.tlog.size", "x"), (409, "text/x.tlog.size", "0\n"), (422, "text/plain", ""), (500, "text/plain", ""),
    ])
    func nonsense(status: Int, type: String, body: String) async throws {
        let neighbour = try await Neighbour()
        let mine = try await WitnessedTown([neighbour.witness])
        let round = try await mine.ask.round { _, _ in WitnessResponse(status: status, contentType: type, body: Array(body.utf8)) }
        guard case .failed? = round.outcomes[neighbour.witness] else { return #expect(Bool(false), "\(round.outcomes)") }
        #expect(try await !mine.town.city.app.one(IsLogHalted()) && !round.isConfirmed)
    }

    @Test("Signatures of another key or of another head are not kept, nor shown when somebody stored them")
    func foreign() async throws {
        let (neighbour, impostor) = (try await Neighbour(), try CosignatureSigner.generate(name: "neighbour.example/witness"))
        let mine = try await WitnessedTown([neighbour.witness])
        let app = mine.town.city.app
        let head = try #require(try await mine.heads.newest())
        for line in [try impostor.cosign(head.note.text, at: Date()).line, try neighbour.signer.cosign("another\n0\nx\n", at: Date()).line] {
            let round = try await mine.ask.round { _, _ in WitnessResponse(status: 200, contentType: nil, body: Array(line.utf8)) }
            #expect(!round.isConfirmed)
        }
        let forged = try impostor.cosign(head.note.text, at: Date()).signature
        try await app.execute("INSERT INTO access_log.cosignature (witness, tree_size, signature) VALUES (\(neighbour.signer.verifier.vkey), 0, \(forged))")
        #expect(try await mine.heads.published()?.note.signatures.count == 1)
        for statement: SQL in ["DELETE FROM access_log.cosignature", "UPDATE access_log.cosignature SET tree_size = 1", "INSERT INTO access_log.halt (witness, tree_size) VALUES ('w', 1)",
            "INSERT INTO access_log.halt_end (halt_id, authority) VALUES (1, 'because')"] {
            await #expect(throws: DatabaseError.self) { try await app.execute(statement) }
        }
    }

    @Test("Of two witnesses one may be away; the head that most signed is shown, and a proof says who stands behind it")
    func twoWitnesses() async throws {
        let (near, far) = (try await Neighbour("near.example/witness"), try await Neighbour("far.example/witness"))
        let mine = try await WitnessedTown([near.witness, far.witness])
        let log = mine.town.signer.verifier
        try await near.serve(for: log) { nearby in
            try await far.serve(for: log) { away in
                let both: WitnessTransport = { address, body in try await address.contains("near") ? nearby(address, body) : away(address, body) }
                let one: WitnessTransport = { address, body in
                    guard address.contains("near") else { throw CancellationError() }
                    return try await nearby(address, body)
                }
                #expect(try await mine.ask.round(one).isConfirmed)
                try await mine.look(2)
                try await mine.sequencer.sequenceOnce()
                #expect(try await mine.ask.round(both).outcomes.values.allSatisfy { $0 == .cosigned })
                try await mine.look(1)
                try await mine.sequencer.sequenceOnce()
                try await mine.ask.round(one)
                #expect(try await mine.heads.published()?.tree.size == 2)
                let entries = try await mine.town.city.owner.query(
                    OneValue("SELECT entry_id FROM access_log.leaf WHERE subject_number IN (1, 3) ORDER BY subject_number", of: UUID.self))
                for (entry, witnesses) in zip(entries, [["near.example/witness", "far.example/witness"], ["near.example/witness"]]) {
                    let file = try await ProveEntry(credential: mine.town.resident.session.hash, entry: AccessEntryID(entry))
                        .perform(entries: mine.town.entries, database: mine.town.city.app, heads: mine.heads)
                    let proven = try ProvenEntry(checking: file.utf8, log: log, witnesses: mine.witnesses.map(\.verifier))
                    #expect(proven.witnesses.map(\.name) == witnesses, "\(proven.treeSize)")
                    try await mine.town.city.serve {
                        PublicLogRoutes(database: mine.town.city.app, heads: mine.heads).add(to: $0)
                    } _: { client in
                        let browser = CityBrowser(client)
                        #expect(try await browser.get("/log/verify").text.contains("--witness &#39;\(witnesses[0])+"))
                        let page = try await browser.post("/log/verify", [("proof", file)])
                        let words = witnesses.count == 2 ? "2 witnesses stand behind this state of the log" : "One witness, near.example/witness, stands behind"
                        #expect(page.status == 200 && page.text.contains(words) && witnesses.allSatisfy { page.text.contains($0) })
                        let broken = try await browser.post("/log/verify", [("proof", file.replacing("index ", with: "index 0"))])
                        #expect(broken.status == 422 && broken.text.contains("look at line 3"))
                    }
                }
            }
        }
    }

    @Test("Two nodes take turns: what one asked the other need not ask, and neither stops the log by being late")
    func twoNodes() async throws {
        let neighbour = try await Neighbour()
        let mine = try await WitnessedTown([neighbour.witness])
        let second = AskWitnesses(
            database: try mine.town.city.appPool(sharedConnections: 1), verifier: mine.town.signer.verifier, witnesses: [neighbour.witness],
            logger: Logger(label: "test"))
        try await neighbour.serve(for: mine.town.signer.verifier) { send in
            try await mine.ask.round(send)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<10 {
                        try await mine.look(3)
                        try await mine.sequencer.sequenceOnce()
                    }
                }
                for node in [mine.ask, second] {
                    group.addTask {
                        for _ in 0..<15 { try await node.round(send) }
                    }
                }
                try await group.waitForAll()
            }
            try await mine.ask.round(send)
            #expect(try await mine.heads.published()?.tree.size == 30)
        }
        #expect(try await !mine.town.city.app.one(IsLogHalted()))
    }

    @Test("A witness that tells the truth too early is not believed against the database")
    func stopComparesAgain() async throws {
        let mine = try await WitnessedTown([])
        let app = mine.town.city.app
        try await mine.look(3)
        #expect(try await Sequencer(database: app, signer: mine.town.signer, logger: Logger(label: "test")).sequenceOnce() == 3)
        for (size, stops) in [(2, false), (3, false), (4, true)] as [(Int64, Bool)] {
            #expect(try await app.one(OneValue("SELECT access_log.stop('w+1+x', \(size))", of: Bool.self)) == stops)
            #expect(try await app.one(IsLogHalted()) == stops)
        }
    }
}
