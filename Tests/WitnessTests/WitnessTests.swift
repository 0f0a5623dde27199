// This city as a witness: a log comes, again, wrongly, twice at once. Whatever comes, the heads of a log that it signed form one line.
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Postgres
import Testing
import TransparencyLog
import Web

@testable import Witness

/// A log that somebody else keeps.
private struct Log {
    let signer: Ed25519NoteSigner
    let leaves: [MerkleHash]

    init(_ name: String = "other.example/log", leaves: Range<Int> = 0..<20) throws {
        signer = try Ed25519NoteSigner.generate(name: name)
        self.leaves = leaves.map { .leaf(Array("\($0)".utf8)) }
    }

    private init(signer: Ed25519NoteSigner, leaves: [MerkleHash]) {
        self.signer = signer
        self.leaves = leaves
    }

    /// The same log with another history.
    func forked() -> Log { Log(signer: signer, leaves: [.leaf([99])] + leaves.dropFirst()) }

    func head(_ size: Int) throws -> SignedNote {
        try Checkpoint(origin: signer.name, size: size, root: MerkleTree.root(of: leaves[..<size])).signed(by: [signer])
    }

    func request(_ size: Int, from old: Int) throws -> String {
        let proof = old <= size ? try MerkleTree.consistencyProof(from: old, in: Array(leaves[..<size])) : []
        return AddCheckpointRequest(oldSize: old, proof: proof, checkpoint: try head(size).description).description
    }
}

@Suite("A witness")
struct WitnessTests {
    private let log: Log
    private let city: CityFixture
    private let signer: CosignatureSigner

    init() async throws {
        log = try Log()
        city = try await CityFixture.make()
        signer = try CosignatureSigner.generate(name: "witness.example/w")
    }

    private struct Answer: Sendable, Equatable {
        let status: Int
        let type: String
        let body: String
    }

    private func serve(_ body: @Sendable (@escaping @Sendable (String) async throws -> Answer, any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve {
            WitnessRoutes(database: city.app, logs: WitnessedLogs(keys: [log.signer.verifier]), signer: signer).add(to: $0)
        } _: { client in
            try await body(
                { text in
                    let answer = try await client.executeRequest(uri: "/witness/add-checkpoint", method: .post, headers: [:], body: ByteBuffer(string: text))
                    return Answer(status: answer.status.code, type: answer.headers[.contentType] ?? "", body: String(buffer: answer.body))
                }, client)
        }
    }

    private func sizes() async throws -> [Int64] {
        try await city.owner.query(OneValue("SELECT tree_size FROM witness.cosigned_head ORDER BY tree_size", of: Int64.self))
    }

    @Test("A log grows, and each head is signed; the newest is shown with both signatures")
    func story() async throws {
        try await serve { add, client in
            let hash = SHA256.hash(data: Data(log.signer.name.utf8)).map { String(format: "%02x", $0) }.joined()
            #expect(try await client.executeRequest(uri: "/witness/\(hash)/checkpoint", method: .get, headers: [:], body: nil).status.code == 404)
            for (size, old) in [(0, 0), (3, 0), (3, 3), (8, 3), (20, 8)] {
                let answer = try await add(log.request(size, from: old))
                #expect(answer.status == 200, "\(answer)")
                var note = try log.head(size)
                for line in try NoteSignature.lines(parsing: answer.body.utf8) { note.add(line) }
                #expect(try note.verify([signer.verifier]).count == 1)
            }
            let shown = try await client.executeRequest(uri: "/witness/\(hash)/checkpoint", method: .get, headers: [:], body: nil)
            let note = try SignedNote(parsing: String(buffer: shown.body))
            #expect(try note.verify([log.signer.verifier, signer.verifier]).count == 2 && note.text == log.head(20).text)
            #expect(try await client.executeRequest(uri: "/witness/\(hash.uppercased())x/checkpoint", method: .get, headers: [:], body: nil).status.code == 404)
        }
        #expect(try await sizes() == [0, 3, 8, 20])
    }

    @Test("What is not to be signed is refused with the status that C2SP says, and nothing is kept")
    func refusals() async throws {
        let stranger = try Log("stranger.example/log")
        let impostor = try Log()
        try await serve { add, _ in
            #expect(try await add(log.request(5, from: 0)).status == 200)
            for (request, status) in [
                ("", 400), ("old 5\n", 400), ("old 5\n\nnonsense\n", 400), (try log.request(4, from: 5), 400), (try stranger.request(5, from: 5), 404),
                (try impostor.request(5, from: 5), 403), (try log.forked().request(5, from: 5), 422), (try log.forked().request(9, from: 5), 422),
                (try log.request(9, from: 5).replacing("old 5\n", with: "old 5\n\(MerkleHash.emptyTree.base64)\n"), 422),
                // The signature is there and does not fit.
                (try log.request(9, from: 5).replacing("other.example/log\n9\n", with: "other.example/log\n10\n"), 403),
            ] {
                let answer = try await add(request)
                #expect(answer.status == status && answer.type == "application/problem+json", "\(answer)")
            }
            for old in [0, 3, 7] {
                #expect(try await add(log.request(9, from: old)) == Answer(status: 409, type: "text/x.tlog.size", body: "5\n"))
            }
            #expect(try await add(String(repeating: "x", count: AddCheckpointRequest.bytesMax + 1)).status == 413)
        }
        #expect(try await sizes() == [5])
    }

    @Test("A log that changes its key has two for a while; signatures of strangers beside them are ignored and not kept")
    func keys() async throws {
        let (other, stranger) = (try Ed25519NoteSigner.generate(name: log.signer.name), try Ed25519NoteSigner.generate(name: "stranger.example"))
        let logs = WitnessedLogs(keys: [other.verifier, log.signer.verifier])
        var note = try log.head(2)
        try note.addSignature(of: stranger)
        let request = AddCheckpointRequest(oldSize: 0, proof: [], checkpoint: note.description).description
        _ = try await CosignHead(request: Array(request.utf8), logs: logs, signer: signer).perform(in: city.app)
        let kept = try await city.owner.one(OneValue("SELECT note FROM witness.cosigned_head", of: String.self))
        #expect(try SignedNote(parsing: kept).signatures.map(\.name) == [log.signer.name, signer.verifier.name])
    }

    @Test("Of many at once each size is signed for one tree, and every head follows from one before")
    func race() async throws {
        let fork = log.forked()
        let logs = WitnessedLogs(keys: [log.signer.verifier])
        let signed = try await withThrowingTaskGroup(of: (Int, MerkleHash)?.self) { group in
            for round in 0..<60 {
                group.addTask {
                    let log = round % 2 == 0 ? self.log : fork
                    let size = 1 + round % 19
                    do {
                        _ = try await CosignHead(request: Array(try log.request(size, from: 0).utf8), logs: logs, signer: signer).perform(in: city.app)
                        return (size, MerkleTree.root(of: log.leaves[..<size]))
                    } catch is CosignRefusal {
                        return nil
                    }
                }
            }
            return try await group.reduce(into: [(Int, MerkleHash)]()) { if let head = $1 { $0.append(head) } }
        }
        // Each claims to be the first: one is, and only that very head is signed again.
        #expect(Set(signed.map(\.0)).count == 1 && Set(signed.map(\.1)).count == 1)
        #expect(try await sizes().count == 1)
    }

    @Test("The database refuses a second root for a size, a second first head, a step back, a fork of the line, and every change")
    func constraints() async throws {
        func insert(_ size: Int, after previous: Int?, origin: String = "o") async throws {
            try await city.app.execute(
                """
                INSERT INTO witness.cosigned_head (witness, origin, tree_size, root, previous_size, note)
                VALUES ('w', \(origin), \(Int64(size)), sha256('x'), \(previous.map { Int64($0) } as Int64?), 'n')
                """)
        }
        try await insert(5, after: nil)
        try await insert(9, after: 5)
        try await insert(5, after: nil, origin: "p")
        for (size, previous) in [(5, nil), (9, 5), (7, nil), (12, 5), (8, 9), (9, 9), (12, 8)] as [(Int, Int?)] {
            await #expect(throws: DatabaseError.self, "\(size) after \(previous ?? -1)") { try await insert(size, after: previous) }
        }
        for statement: SQL in ["UPDATE witness.cosigned_head SET note = 'm'", "DELETE FROM witness.cosigned_head", "TRUNCATE witness.cosigned_head"] {
            await #expect(throws: DatabaseError.self) { try await city.app.execute(statement) }
            await #expect(throws: DatabaseError.self) { try await city.owner.execute(statement) }
        }
    }

    @Test("A city that is no witness knows no log")
    func noWitness() async throws {
        try await city.serve { WitnessRoutes(database: city.app, logs: WitnessedLogs(keys: []), signer: nil).add(to: $0) } _: { client in
            let request = ByteBuffer(string: try log.request(5, from: 0))
            #expect(try await client.executeRequest(uri: "/witness/add-checkpoint", method: .post, headers: [:], body: request).status.code == 404)
        }
    }
}
