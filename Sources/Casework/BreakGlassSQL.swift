// The statements about protected records. Who acts is derived from the credential by the functions of migrations/0022_oversight.sql.
import AccessLog
import Foundation
import Postgres
import Primitives
import Register
import Web

/// `casework.break_the_glass`: false without such an entry, or when the opening is there already.
struct BreakTheGlass: Query {
    let credential: CredentialHash
    let entry: AccessEntryID
    let opening: OpeningID
    let reference: PublicCode
    let sealedReason: [UInt8]

    var sql: SQL {
        """
        SELECT casework.break_the_glass(
            \(credential.bytes), \(entry.uuid), \(opening.uuid), \(reference.description), \(sealedReason))
        """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// `casework.protect`.
struct Protect: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID
    let isProtected: Bool
    let sealedReason: [UInt8]

    var sql: SQL { "SELECT casework.protect(\(credential.bytes), \(viewEntry.uuid), \(isProtected), \(sealedReason))" }
    func decode(_ row: inout RowReader) throws -> ProtectionOutcome { try row.next(word: ProtectionOutcome.self) }
}

/// `casework.unreviewed`.
struct UnreviewedGlass: Query {
    let credential: CredentialHash
    var reference: String?

    var sql: SQL {
        """
        SELECT reference, broken_at, review_due_at, is_overdue, resident_id
        FROM casework.unreviewed(\(credential.bytes), \(reference as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> WaitingGlass {
        WaitingGlass(
            reference: try row.next(), brokenAt: try row.next(), reviewDueAt: try row.next(), isOverdue: try row.next(),
            residentID: ResidentID(try row.next(UUID.self)))
    }
}

/// An emergency as it is stored.
struct SealedGlass: Sendable {
    let entryID: AccessEntryID
    let reference: String
    let brokenAt: Date
    let reviewDueAt: Date
    let sealedReason: [UInt8]
    let key: SealingKey

    /// The columns `entry_id` to `wrapped_key`, which both functions give in this order.
    init(_ row: inout RowReader) throws {
        entryID = AccessEntryID(try row.next(UUID.self))
        reference = try row.next()
        brokenAt = try row.next()
        reviewDueAt = try row.next()
        sealedReason = try row.next()
        key = try SealingKey(&row)
    }
}

/// `casework.break_glass_under`.
struct GlassUnder: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    var sql: SQL {
        """
        SELECT entry_id, reference, broken_at, review_due_at, sealed_reason, holder_id, key_id, wrapped_key, staff_name, staff_username
        FROM casework.break_glass_under(\(credential.bytes), \(viewEntry.uuid))
        """
    }

    func decode(_ row: inout RowReader) throws -> (glass: SealedGlass, staffName: String, staffUsername: String) {
        (try SealedGlass(&row), try row.next(), try row.next())
    }
}

/// `casework.review_break_glass`.
struct ReviewGlass: Query {
    let credential: CredentialHash
    let glass: AccessEntryID
    let finding: GlassFinding
    let sealedWords: [UInt8]

    var sql: SQL { "SELECT casework.review_break_glass(\(credential.bytes), \(glass.uuid), \(finding.rawValue), \(sealedWords))" }
    func decode(_ row: inout RowReader) throws -> ReviewOutcome { try row.next(word: ReviewOutcome.self) }
}

/// `casework.own_break_glass`.
struct OwnBrokenGlass: Query {
    let credential: CredentialHash
    let entry: AccessEntryID

    struct Row: Sendable {
        let glass: SealedGlass
        let review: (finding: GlassFinding, sealedWords: [UInt8], at: Date)?
    }

    var sql: SQL {
        """
        SELECT entry_id, reference, broken_at, review_due_at, sealed_reason, holder_id, key_id, wrapped_key, finding, sealed_words, reviewed_at
        FROM casework.own_break_glass(\(credential.bytes), \(entry.uuid))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let glass = try SealedGlass(&row)
        let finding = try row.next(word: GlassFinding?.self)
        let words = try row.next([UInt8]?.self)
        let at = try row.next(Date?.self)
        guard let finding, let words, let at else { return Row(glass: glass, review: nil) }
        return Row(glass: glass, review: (finding, words, at))
    }
}
