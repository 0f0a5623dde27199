// Erasing a person, with the owner's role (`stoa erase resident`): what is destroyed and what stays is in migrations/0017_erasure.sql.
// Decided in `register.erase_resident` (0017_erasure.sql).
public import Postgres
public import Primitives

/// Destroys what the city holds about residents.
public struct ResidentErasure: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`; the role that serves may not erase.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Erases a resident for good: data key, values, look-ups, pseudonyms, sign-in names; the account is closed.
    /// - Parameter authority: on whose word, 3 to 200 characters; it stays on record.
    /// - Returns: false when nobody has this code, or the resident is erased already.
    public func erase(_ code: PublicCode, authority: String) async throws -> Bool {
        try await owner.exclusive { try await $0.one(EraseResident(code: code, authority: authority)) }
    }
}

private struct EraseResident: Query {
    let code: PublicCode
    let authority: String

    var sql: SQL { "SELECT register.erase_resident(\(code.description), \(authority))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
