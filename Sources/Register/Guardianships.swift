// Entering who is whose guardian, with the owner's role (`stoa guardianship`): the rules are in migrations/0023_guardians.sql. From which ages on a child is asked, decides alone
// and is of age are settings of the city, because laws differ (GDPR Art. 8(1) leaves 13 to 16 to them).
// Decided in `register.add_guardianship` and `register.end_guardianship` (0023_guardians.sql).
public import Foundation
public import Postgres
public import Primitives
import Web

/// The ages that count, in years. Each is at least the one before it.
public struct AgesOfConsent: Sendable, Hashable {
    /// From when on a child is asked beside its guardians.
    public var asked: Int
    /// From when on it decides alone.
    public var alone: Int
    public var ofAge: Int

    public init(asked: Int, alone: Int, ofAge: Int) {
        self.asked = asked
        self.alone = alone
        self.ofAge = ofAge
    }

    /// When somebody reaches an age: the beginning of that birthday in the city. Who was born on 29 February has it on 1 March of other years.
    /// - Returns: nil for a day that the calendar cannot count from.
    static func birthday(_ years: Int, of born: CalendarDay, in zone: TimeZone) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        return calendar.date(from: DateComponents(year: born.year + years, month: born.month, day: born.day))
    }
}

/// What came of entering a guardianship.
public enum GuardianshipOutcome: String, Sendable {
    case recorded
    case unchanged
    case grownUp = "grown_up"
    /// The register has another date of birth for whom the child's code names: a mistyped code would make somebody else a child.
    case birthDiffers = "birth_differs"
    /// Nobody has one of the codes, or the resident was erased.
    case unknown
}

/// Enters and ends guardianships.
public struct Guardianships: Sendable {
    private let owner: Database
    private let vault: ResidentVault

    /// - Parameter owner: a database of the role `stoa_owner`; the role that serves may enter none.
    public init(owner: Database, vault: ResidentVault) {
        self.owner = owner
        self.vault = vault
    }

    /// A guardianship to enter.
    public struct New: Sendable {
        public var child: PublicCode
        public var guardian: PublicCode
        /// What the guardian calls the child, and the child the guardian.
        public var childName: String
        public var guardianName: String
        public var born: CalendarDay
        public var mustAgree: Bool
        /// On whose word, 3 to 200 characters; it stays on record.
        public var authority: String

        public init(
            child: PublicCode, guardian: PublicCode, childName: String, guardianName: String, born: CalendarDay, mustAgree: Bool, authority: String
        ) {
            self.child = child
            self.guardian = guardian
            self.childName = childName
            self.guardianName = guardianName
            self.born = born
            self.mustAgree = mustAgree
            self.authority = authority
        }
    }

    /// Enters a guardianship. Where the guardian must agree, what the child shared until now is void.
    /// - Throws: `DatabaseError` for what breaks a rule, such as somebody who would be their own guardian.
    public func add(_ new: New, ages: AgesOfConsent, in zone: TimeZone) async throws -> GuardianshipOutcome {
        guard let child = try await owner.optional(SealingKeyOf(code: new.child)), let guardian = try await owner.optional(SealingKeyOf(code: new.guardian)),
            let asked = AgesOfConsent.birthday(ages.asked, of: new.born, in: zone), let alone = AgesOfConsent.birthday(ages.alone, of: new.born, in: zone),
            let ofAge = AgesOfConsent.birthday(ages.ofAge, of: new.born, in: zone)
        else { return .unknown }
        let childKey = try vault.unwrap(child.key, of: child.resident)
        if let sealed = try await owner.optional(SealedBirthDate(resident: child.resident)),
            try vault.open(sealed, as: .dateOfBirth, of: child.resident, under: childKey) != new.born.description
        {
            return .birthDiffers
        }
        let id = UUID()
        let name = id.uuidString.lowercased()
        let childName = try vault.seal(
            new.childName, as: Attribute(rawValue: "child_name/\(name)"), of: guardian.resident, under: try vault.unwrap(guardian.key, of: guardian.resident))
        let guardianName = try vault.seal(
            new.guardianName, as: Attribute(rawValue: "guardian_name/\(name)"), of: child.resident, under: childKey)
        return try await owner.exclusive { connection in
            try await connection.one(
                AddGuardianship(
                    id: id, child: child.resident, guardian: guardian.resident, mustAgree: new.mustAgree, birthdays: (asked, alone, ofAge), childName: childName,
                    guardianName: guardianName, authority: new.authority))
        }
    }

    /// Ends the guardianship between two residents.
    /// - Returns: false when there is none.
    public func end(child: PublicCode, guardian: PublicCode, authority: String) async throws -> Bool {
        guard let child = try await owner.optional(SealingKeyOf(code: child)), let guardian = try await owner.optional(SealingKeyOf(code: guardian)) else {
            return false
        }
        return try await owner.exclusive {
            try await $0.one(EndGuardianship(child: child.resident, guardian: guardian.resident, authority: authority))
        }
    }
}

private struct SealingKeyOf: Query {
    let code: PublicCode

    var sql: SQL { "SELECT resident_id, key_id, wrapped_key FROM register.sealing_key(\(code.description))" }

    func decode(_ row: inout RowReader) throws -> (resident: ResidentID, key: WrappedKey) {
        (ResidentID(try row.next(UUID.self)), WrappedKey(keyID: try row.next(), bytes: try row.next()))
    }
}

/// As the register holds it; no row where it does not.
private struct SealedBirthDate: Query {
    let resident: ResidentID

    var sql: SQL {
        "SELECT sealed_value FROM register.sealed_attribute WHERE resident_id = \(resident) AND attribute = \(Attribute.dateOfBirth.rawValue)"
    }

    func decode(_ row: inout RowReader) throws -> [UInt8] { try row.next() }
}

private struct AddGuardianship: Query {
    let id: UUID
    let child: ResidentID
    let guardian: ResidentID
    let mustAgree: Bool
    let birthdays: (asked: Date, alone: Date, ofAge: Date)
    let childName: [UInt8]
    let guardianName: [UInt8]
    let authority: String

    var sql: SQL {
        """
        SELECT register.add_guardianship(\(id), \(child), \(guardian), \(mustAgree), \(birthdays.asked), \(birthdays.alone), \(birthdays.ofAge),
            \(childName), \(guardianName), \(authority))
        """
    }

    func decode(_ row: inout RowReader) throws -> GuardianshipOutcome {
        let word = try row.next(String.self)
        guard let outcome = GuardianshipOutcome(rawValue: word) else {
            throw DatabaseError.decoding(column: "add_guardianship", reason: "is no outcome that this server knows")
        }
        return outcome
    }
}

private struct EndGuardianship: Query {
    let child: ResidentID
    let guardian: ResidentID
    let authority: String

    var sql: SQL { "SELECT register.end_guardianship(\(child), \(guardian), \(authority))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
