// What one connection has prepared, by text. The bound keeps the server's memory in hand: a backend keeps each plan until told otherwise.

/// The prepared statements of one connection. Confined to the connection's thread.
struct PreparedStatements {
    /// How a statement goes out.
    enum Way {
        /// Prepared and confirmed: execute by name.
        case named([CChar])
        /// Never seen here: prepare under this name first, in the same sync.
        case prepare([CChar])
        /// Its Prepare is under way and may yet fail: go unprepared, so that its failure stays with its own caller.
        case unprepared
    }

    /// More than all statements of all slices together; about 100 kB of plans a backend if they are all used.
    static let statementsMax = 512

    private struct Entry {
        let name: [CChar]
        var isConfirmed = false
        var lastUse: UInt64
    }

    private var entries: [StatementKey: Entry] = [:]
    private var uses: UInt64 = 0
    private var names = 0
    /// Names that the server still holds and we have forgotten.
    private(set) var discarded: [[CChar]] = []

    mutating func way(for key: StatementKey) -> Way {
        uses += 1
        if let index = entries.index(forKey: key) {
            entries.values[index].lastUse = uses
            let entry = entries.values[index]
            return entry.isConfirmed ? .named(entry.name) : .unprepared
        }
        if entries.count >= Self.statementsMax { makeRoom() }
        names += 1
        let name = Array("stoa\(names)".utf8CString)
        entries[key] = Entry(name: name, lastUse: uses)
        return .prepare(name)
    }

    func contains(_ key: StatementKey) -> Bool { entries[key] != nil }

    mutating func confirm(_ key: StatementKey) {
        entries[key]?.isConfirmed = true
    }

    /// The Prepare failed: there is nothing of that name.
    mutating func prepareFailed(_ key: StatementKey) {
        entries[key] = nil
    }

    /// The plan is out of date (a migration changed a table under it): prepare anew next time.
    mutating func discard(_ key: StatementKey) {
        guard let entry = entries[key], entry.isConfirmed else { return }
        entries[key] = nil
        discarded.append(entry.name)
    }

    mutating func takeDiscarded() -> [[CChar]] {
        defer { discarded = [] }
        return discarded
    }

    /// Forgets the statement that was not used for longest. A scan of all, but only when a new text meets a full cache.
    private mutating func makeRoom() {
        let oldest = entries.filter { $0.value.isConfirmed }.min { $0.value.lastUse < $1.value.lastUse }
        if let oldest { discard(oldest.key) }
    }
}
