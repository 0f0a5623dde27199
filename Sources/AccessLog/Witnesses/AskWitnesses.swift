// Asks the witnesses of this log to sign its newest head. Runs on every node and works on one. It stands beside the sequencer and never inside its
// transaction: a witness may be slow or away, and then heads simply have fewer signatures. But a witness that has seen more than this database
// holds stops the log.
// Decided in `access_log.stop` (0021_witness.sql).
import Foundation
public import Logging
import Metrics
public import Postgres
public import TransparencyLog

/// The loop from the newest head to its cosignatures.
public struct AskWitnesses: Sendable {
    /// How old the newest cosigned head may be. A witness of many logs is asked some thousands of times a day then, which it can bear.
    public static let interval = Duration.seconds(10)
    /// How soon the witnesses are asked again while nothing may be signed before one of them has answered.
    static let confirmationInterval = Duration.seconds(1)
    /// Requests to one witness in a round: the first may tell the size that the second must begin with, and somebody may come between.
    private static let attemptsMax = 3

    private let database: Database
    private let verifier: Ed25519NoteVerifier
    private let witnesses: [LogWitness]
    private let logger: Logger

    /// - Parameter verifier: the log's public key.
    public init(database: Database, verifier: Ed25519NoteVerifier, witnesses: [LogWitness], logger: Logger) {
        self.database = database
        self.verifier = verifier
        self.witnesses = witnesses
        self.logger = logger
    }

    /// Works until the task is cancelled.
    public func run(_ send: @escaping WitnessTransport) async {
        var told: [LogWitness: WitnessOutcome] = [:]
        var wasWaiting = false
        while !Task.isCancelled {
            do {
                let round = try await round(send)
                // Stopping cuts requests off; that is no failure of theirs.
                if Task.isCancelled { return }
                for (witness, outcome) in round.outcomes { tell(outcome, of: witness, after: told.updateValue(outcome, forKey: witness)) }
                if round.isWaiting, !wasWaiting { logger.warning("no witness has confirmed the log since the database server started: entries wait for their leaves") }
                wasWaiting = round.isWaiting
                try await Task.sleep(for: round.isWaiting ? Self.confirmationInterval : Self.interval)
            } catch is CancellationError {
                return
            } catch {
                if Task.isCancelled { return }
                logger.error("the witnesses could not be asked; will try again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    /// What one round came to.
    struct Round: Sendable {
        /// Empty where another node was at it.
        var outcomes: [LogWitness: WitnessOutcome] = [:]
        /// Whether a witness has confirmed the log since the database server started.
        var isConfirmed = true

        /// Whether the sequencer waits for an answer. After a contradiction it waits for somebody's decision.
        var isWaiting: Bool { !isConfirmed && !outcomes.values.contains(.contradicts) }
    }

    /// Asks every witness once, all at the same time.
    @discardableResult
    func round(_ send: @escaping WitnessTransport) async throws -> Round {
        // The turn is a lock of the session, so that no transaction stays open while others are slow.
        try await database.exclusive { connection in
            guard try await connection.one(TakeTurn()) else { return Round() }
            let round = try await round(send, on: connection)
            // The turn ends here and not when the session is cleaned, or the next round might find it taken. After an error the cleaning ends it.
            try await connection.execute("SELECT pg_advisory_unlock(\(unsafeRaw: turnLock))")
            return round
        }
    }

    private func round(_ send: @escaping WitnessTransport, on connection: ExclusiveConnection) async throws -> Round {
        let known = try await connection.one(KnownToWitnesses(witnesses: witnesses.map(\.verifier.vkey)))
        guard let head = try await SignedHead.newest(verifier: verifier, query: connection.query) else { return Round() }
        var round = Round(isConfirmed: known.isConfirmed)
        await withTaskGroup(of: (LogWitness, WitnessOutcome).self) { group in
            for witness in witnesses {
                group.addTask { (witness, await ask(witness, about: head, known, send)) }
            }
            for await (witness, outcome) in group { round.outcomes[witness] = outcome }
        }
        // One suffices, or a single witness that is away would hold up the log of a city. Of those that answered none may disagree.
        if !known.isConfirmed, round.outcomes.values.contains(.cosigned), !round.outcomes.values.contains(.contradicts) {
            // On the session that read the head: had the server been started anew since, this would fail.
            try await connection.execute("INSERT INTO access_log.confirmation DEFAULT VALUES ON CONFLICT DO NOTHING")
            round.isConfirmed = true
        }
        return round
    }

    private func ask(_ witness: LogWitness, about head: SignedHead, _ known: KnownToWitnesses.Row, _ send: WitnessTransport) async -> WitnessOutcome {
        let knownSize = known.sizes[witness.verifier.vkey]
        // After a start of the database server also what it knows already: it may know more.
        if knownSize == head.tree.size, known.isConfirmed { return .upToDate }
        do {
            return try await submit(head, to: witness, from: knownSize ?? 0, send)
        } catch {
            return .failed("cannot be asked: \(error)")
        }
    }

    private func submit(_ head: SignedHead, to witness: LogWitness, from knownSize: Int, _ send: WitnessTransport) async throws -> WitnessOutcome {
        var oldSize = knownSize
        for _ in 0..<Self.attemptsMax {
            let proof = try await proof(from: oldSize, to: head)
            let request = AddCheckpointRequest(oldSize: oldSize, proof: proof, checkpoint: head.note.description)
            let response = try await send(witness.address, request.description)
            switch response.status {
            case 200:
                return try await keep(response, of: witness, head)
            case 409:
                guard response.contentType?.hasPrefix(TreeSizeAnswer.contentType) == true, let size = TreeSizeAnswer.read(response.body) else {
                    return .failed("answered 409 without the size that it has seen")
                }
                if size > head.tree.size { return try await stop(witness, size: size) }
                oldSize = size
            case 422 where oldSize > 0:
                return try await stop(witness, size: nil)
            case 404:
                return .failed("does not know this log (404): give it the log's verifier key, \(verifier.vkey)")
            default:
                return .failed("answered \(response.status)")
            }
        }
        return .failed("told another size each time it was asked")
    }

    /// Checked here before it is sent: the log never blames a witness for a fault of its own.
    private func proof(from oldSize: Int, to head: SignedHead) async throws -> [MerkleHash] {
        let tree = StoredTree(database: database)
        let size = head.tree.size
        let proof = try await tree.consistencyProof(from: oldSize, to: size)
        let oldRoot = try await tree.root(of: oldSize, in: size)
        guard MerkleTree.verifyConsistency(from: oldSize, root: oldRoot, to: size, newerRoot: head.tree.root, proof: proof) else {
            throw AskWitnessesError.treeIsNotThatOfItsHead(size: size)
        }
        return proof
    }

    private func keep(_ response: WitnessResponse, of witness: LogWitness, _ head: SignedHead) async throws -> WitnessOutcome {
        let text = Array(head.note.text.utf8)
        guard let lines = try? NoteSignature.lines(parsing: response.body),
            let own = lines.first(where: { $0.isFrom(witness.verifier) && witness.verifier.isValid($0.signature, over: text) })
        else { return .failed("answered without a signature of the key in the settings") }
        try await database.execute(
            """
            INSERT INTO access_log.cosignature (witness, tree_size, signature)
            VALUES (\(witness.verifier.vkey), \(Int64(head.tree.size)), \(own.signature)) ON CONFLICT DO NOTHING
            """)
        return .cosigned
    }

    /// The database compares once more, while nothing can be signed: another node may have signed and sent a newer head meanwhile.
    private func stop(_ witness: LogWitness, size: Int?) async throws -> WitnessOutcome {
        let isContradiction = try await database.transaction { transaction in
            try await transaction.one(StopLog(witness: witness.verifier.vkey, witnessSize: size.map { Int64($0) }))
        }
        return isContradiction ? .contradicts : .failed("has seen a newer head; it is asked again")
    }

    /// Says what changed. The sequencer says that the log has stopped.
    private func tell(_ outcome: WitnessOutcome, of witness: LogWitness, after last: WitnessOutcome?) {
        let name: Logger.Metadata = ["witness": "\(witness.verifier.name)"]
        switch outcome {
        case .failed(let reason):
            Counter(label: "access_log_witness_failures", dimensions: [("witness", witness.verifier.name)]).increment()
            if outcome != last { logger.warning("a witness \(reason); will ask again", metadata: name) }
        case .upToDate, .cosigned:
            if case .failed? = last { logger.notice("the witness signs again", metadata: name) }
        case .contradicts:
            break
        }
    }
}

/// Nothing is sent then.
enum AskWitnessesError: Error {
    /// The tiles do not come to the root that the head has.
    case treeIsNotThatOfItsHead(size: Int)
}

/// The number of the lock: the sequencer's, and one.
private let turnLock = "7308895159"

/// Whether this session asks the witnesses now.
private struct TakeTurn: Query {
    var sql: SQL { "SELECT pg_try_advisory_lock(\(unsafeRaw: turnLock))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// The sizes of the newest heads that witnesses signed, and whether one has confirmed the log since the server started.
private struct KnownToWitnesses: Query {
    let witnesses: [String]

    struct Row: Sendable {
        let isConfirmed: Bool
        /// By verifier key; a witness that has signed nothing yet is not there.
        let sizes: [String: Int]
    }

    var sql: SQL {
        """
        SELECT EXISTS (SELECT FROM access_log.confirmation AS c WHERE c.server_started_at = pg_postmaster_start_time()),
            ARRAY(SELECT coalesce((SELECT max(c.tree_size) FROM access_log.cosignature AS c WHERE c.witness = w.witness), -1)
                  FROM unnest(\(witnesses)) WITH ORDINALITY AS w (witness, place) ORDER BY w.place)
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let isConfirmed = try row.next(Bool.self)
        let sizes = try row.next([Int64].self)
        let known = zip(witnesses, sizes).filter { $1 >= 0 }.map { ($0, Int($1)) }
        return Row(isConfirmed: isConfirmed, sizes: Dictionary(known, uniquingKeysWith: { $1 }))
    }
}

/// `access_log.stop`: false where a head of that size was signed here after all.
private struct StopLog: Query {
    let witness: String
    let witnessSize: Int64?

    var sql: SQL { "SELECT access_log.stop(\(witness), \(witnessSize as Int64?))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
