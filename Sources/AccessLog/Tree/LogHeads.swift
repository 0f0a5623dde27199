// Which head of the log is shown to whom. A reader who wants to see that entries come in needs the newest; a reader who relies on witnesses can do
// nothing with one that none of them has seen yet, and on a busy log the newest never has been.
public import Postgres
public import TransparencyLog

/// The heads of this log, as pages, programs and proofs show them.
public struct LogHeads: Sendable {
    /// How long witnesses may be behind before a head without them is shown: six rounds of asking them (``AskWitnesses/interval``). A head that stays away
    /// longer would hide what was logged since.
    public static let unwitnessedSecondsMax = 60
    /// Heads of each witness that are looked at: those of that minute, and some for rounds that follow one another faster.
    static let headsPerWitness = 15

    let database: Database
    /// The log's key.
    let verifier: Ed25519NoteVerifier
    /// The keys of its witnesses.
    let witnesses: [CosignatureVerifier]

    /// - Parameters:
    ///   - verifier: the log's public key. Heads that it does not verify are not shown, and nothing beyond them.
    ///   - witnesses: those of the settings; what others signed is not shown.
    public init(database: Database, verifier: Ed25519NoteVerifier, witnesses: [CosignatureVerifier] = []) {
        self.database = database
        self.verifier = verifier
        self.witnesses = witnesses
    }

    /// The newest, with or without witnesses; nil when the log has not begun.
    func newest() async throws -> SignedHead? {
        try await SignedHead.newest(verifier: verifier, query: database.query)
    }

    /// What `/log/checkpoint` shows: of the heads of the last minute the one that most witnesses signed, with their signatures; the newest where
    /// there is none.
    func published() async throws -> SignedHead? {
        if let head = try await witnessed(sizeMin: 0, secondsMax: Self.unwitnessedSecondsMax) { return head }
        return try await newest()
    }

    /// The head that a proof of this leaf leads to: one that witnesses signed, however old, before the newest.
    /// - Returns: nil when no head covers it yet.
    func over(leaf index: Int) async throws -> SignedHead? {
        if let head = try await witnessed(sizeMin: index + 1, secondsMax: nil) { return head }
        guard let head = try await newest(), index < head.tree.size else { return nil }
        return head
    }

    private func witnessed(sizeMin: Int, secondsMax: Int?) async throws -> SignedHead? {
        guard !witnesses.isEmpty,
            let row = try await database.optional(
                WitnessedHeadRow(witnesses: witnesses.map(\.vkey), perWitness: Self.headsPerWitness, sizeMin: sizeMin, secondsMax: secondsMax)),
            var head = SignedHead(row.head, verifier: verifier)
        else { return nil }
        let text = Array(head.note.text.utf8)
        for witness in witnesses {
            // Rows that the server's role may insert: each is believed as far as its own signature goes.
            guard let signature = row.signatures[witness.vkey], witness.isValid(signature, over: text) else { continue }
            head.note.add(NoteSignature(name: witness.name, keyID: witness.keyID, signature: signature))
        }
        return head.note.signatures.count > 1 ? head : nil
    }
}

/// Of the newest heads that witnesses signed the one that most of them did; none that a later head has waited for too long.
private struct WitnessedHeadRow: Query {
    let witnesses: [String]
    let perWitness: Int
    let sizeMin: Int
    /// How long later heads may have waited for a witness; nil: however long.
    let secondsMax: Int?

    struct Row: Sendable {
        let head: StoredHeads.Row
        /// By verifier key.
        let signatures: [String: [UInt8]]
    }

    var sql: SQL {
        """
        WITH signed AS (
            SELECT s.tree_size, array_agg(w.witness) AS witnesses, array_agg(s.signature) AS signatures
            FROM unnest(\(witnesses)) AS w (witness)
            CROSS JOIN LATERAL (
                SELECT c.tree_size, c.signature FROM access_log.cosignature AS c
                WHERE c.witness = w.witness ORDER BY c.tree_size DESC LIMIT \(perWitness)) AS s
            GROUP BY s.tree_size
        )
        SELECT h.tree_size, h.frontier, h.note, s.witnesses, s.signatures
        FROM signed AS s JOIN access_log.checkpoint AS h ON h.tree_size = s.tree_size
        WHERE h.tree_size >= \(Int64(sizeMin)) AND coalesce(
            (SELECT later.signed_at FROM access_log.checkpoint AS later WHERE later.tree_size > s.tree_size ORDER BY later.tree_size LIMIT 1)
                > public.stoa_now() - make_interval(secs => \(secondsMax as Int?)::integer), true)
        ORDER BY cardinality(s.witnesses) DESC, h.tree_size DESC LIMIT 1
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let head = StoredHeads.Row(size: try row.next(), frontier: try row.next(), note: try row.next())
        let witnesses = try row.next([String].self)
        return Row(head: head, signatures: Dictionary(zip(witnesses, try row.next([[UInt8]].self)), uniquingKeysWith: { $1 }))
    }
}
