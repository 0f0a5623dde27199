// Protected records: broken open by a caseworker in an emergency, reviewed by an auditor, read about by the resident; and set under protection in
// the first place. The rules are in migrations/0022. What people write is sealed on the way in and opened on the way out, under the resident's key.
// Decided in `casework.break_the_glass`, `casework.review_break_glass` and `casework.protect` (0022_oversight.sql).
public import AccessLog
import Foundation
public import Postgres
import Primitives
public import Register
import Web

/// What an auditor finds about an emergency.
enum GlassFinding: String, Sendable, CaseIterable {
    case justified
    case notJustified = "not_justified"
}

/// A declared emergency with its reason.
struct BrokenGlass: Sendable {
    let entryID: AccessEntryID
    let reference: String
    let brokenAt: Date
    /// Three working days after (`casework.break_glass`).
    let reviewDueAt: Date
    let reason: String
    /// What the reason lies under, and the review will.
    let key: SealingKey
}

/// An emergency that waits for its review, without what it says.
struct WaitingGlass: Sendable {
    let reference: String
    let brokenAt: Date
    let reviewDueAt: Date
    let isOverdue: Bool
    /// Whom the door looks up.
    let residentID: ResidentID
}

/// An emergency as the auditor sees it who reviews it.
struct GlassAtHand: Sendable {
    let glass: BrokenGlass
    let staffName: String
    let staffUsername: String
    /// What was done under it.
    let entries: [AccessEntry]
}

/// An emergency as the resident sees it.
struct OwnGlass: Sendable {
    let glass: BrokenGlass
    let review: Review?

    struct Review: Sendable {
        let finding: GlassFinding
        let words: String
        let at: Date
    }
}

/// What came of a review.
enum ReviewOutcome: String, Sendable {
    case reviewed
    case alreadyReviewed = "already_reviewed"
    case ownAction = "own_action"
    case notAllowed = "not_allowed"
}

/// What came of protecting a record, or of lifting that.
enum ProtectionOutcome: String, Sendable {
    case changed
    case unchanged
    case notAllowed = "not_allowed"
}

/// Breaks, shows and reviews.
public struct BreakGlass: Sendable {
    private let database: Database
    private let door: Door
    private let vault: ResidentVault
    private let entries: AccessEntries

    public init(database: Database, door: Door, vault: ResidentVault) {
        self.database = database
        self.door = door
        self.vault = vault
        entries = AccessEntries(database: database, door: door)
    }

    /// How long a reason is, in characters: enough to say something that can be checked, short enough to be written in an emergency. The
    /// column's limits follow from these.
    static let reasonCharacters = 20...500
    /// Longest words of a review, in characters: a letter of half a page.
    static let reviewCharactersMax = 1000

    // MARK: Caseworkers

    /// Opens a protected record. The log's entry, the message to the resident and the place in the auditors' queue are committed before anything
    /// of the record is released.
    /// - Parameter opening: made with the form; the same again is the same opening.
    /// - Throws: `RefusedAccess`, also for a record that is not protected.
    func open(
        _ subject: SubjectReference, for reason: OpeningReason, caseReference: String, because words: String, opening: OpeningID,
        session: CredentialHash
    ) async throws -> OpeningID {
        if try await isOpen(opening, session) { return opening }
        let found = try await door.read(
            AccessRequest(
                credential: session, operation: .breakGlass, subject: subject, attributes: [], purpose: reason.rawValue, caseReference: caseReference))
        let sealed = try vault.seal(words, as: .glass(found.entryID), under: found.key)
        let statement = BreakTheGlass(
            credential: session, entry: found.entryID, opening: opening, reference: .random(), sealedReason: sealed)
        if try await database.exclusive({ try await $0.one(statement) }) { return opening }
        // The same form at the same moment: the other one opened it.
        guard try await isOpen(opening, session) else { throw Problem.forbidden }
        return opening
    }

    private func isOpen(_ opening: OpeningID, _ session: CredentialHash) async throws -> Bool {
        try await database.optional(FindOpening(credential: session, id: opening)) != nil
    }

    // MARK: Auditors

    /// The hundred most urgent that wait for this auditor; none for anybody else.
    func waiting(for session: CredentialHash) async throws -> [WaitingGlass] {
        try await database.query(UnreviewedGlass(credential: session))
    }

    /// Opens one that waits, after that look is in the resident's log.
    /// - Returns: nil when no such one waits.
    func look(into reference: String, for session: CredentialHash) async throws -> GlassAtHand? {
        guard let waiting = try await database.optional(UnreviewedGlass(credential: session, reference: reference)) else { return nil }
        let view = try await door.look(intoLogOf: waiting.residentID, for: "break_glass_review", caseReference: reference, session: session)
        guard let row = try await database.optional(GlassUnder(credential: session, viewEntry: view)) else { return nil }
        return GlassAtHand(
            glass: try opened(row.glass), staffName: row.staffName, staffUsername: row.staffUsername,
            entries: try await database.query(EntriesUnderGlass(credential: session, viewEntry: view)))
    }

    /// Reviews once. The resident is told by the row itself.
    func review(_ glass: BrokenGlass, _ finding: GlassFinding, words: String, session: CredentialHash) async throws -> ReviewOutcome {
        let sealed = try vault.seal(words, as: .glassReview(glass.entryID), under: glass.key)
        let statement = ReviewGlass(credential: session, glass: glass.entryID, finding: finding, sealedWords: sealed)
        return try await database.exclusive { try await $0.one(statement) }
    }

    /// Protects the record of a resident, or lifts that; the look into their log that it needs is in it first.
    /// - Throws: `RefusedAccess`, such as for a code that nobody has.
    func protect(_ code: PublicCode, isProtected: Bool, because words: String, caseReference: String, session: CredentialHash) async throws -> ProtectionOutcome {
        let view = try await door.read(
            AccessRequest(
                credential: session, operation: .logView, subject: .publicCode(code), attributes: [], purpose: "protection", caseReference: caseReference))
        let statement = Protect(
            credential: session, viewEntry: view.entryID, isProtected: isProtected, sealedReason: try vault.seal(words, as: .protection(view.entryID), under: view.key))
        return try await database.exclusive { try await $0.one(statement) }
    }

    // MARK: Residents

    /// The emergency in which an entry about the resident was made; nil when there was none, or it is not theirs to see.
    func own(about entry: AccessEntryID, of credential: CredentialHash) async throws -> OwnGlass? {
        try await entries.logView(of: credential)
        guard let row = try await database.optional(OwnBrokenGlass(credential: credential, entry: entry)) else { return nil }
        let glass = try opened(row.glass)
        let review = try row.review.map { review in
            OwnGlass.Review(
                finding: review.finding,
                words: try vault.open(review.sealedWords, as: .glassReview(glass.entryID), under: glass.key),
                at: review.at)
        }
        return OwnGlass(glass: glass, review: review)
    }

    /// An entry of the resident's log.
    func entry(_ id: AccessEntryID, of credential: CredentialHash) async throws -> AccessEntry? {
        try await entries.one(id, of: credential)
    }

    private func opened(_ row: SealedGlass) throws -> BrokenGlass {
        BrokenGlass(
            entryID: row.entryID, reference: row.reference, brokenAt: row.brokenAt, reviewDueAt: row.reviewDueAt,
            reason: try vault.open(row.sealedReason, as: .glass(row.entryID), under: row.key), key: row.key)
    }
}

extension Attribute {
    // What a sealed text is bound to, as values are to their attribute: none of them can take another's place.
    fileprivate static func glass(_ entry: AccessEntryID) -> Attribute { Attribute(rawValue: "break_glass/\(entry)") }
    fileprivate static func glassReview(_ entry: AccessEntryID) -> Attribute { Attribute(rawValue: "break_glass_review/\(entry)") }
    fileprivate static func protection(_ entry: AccessEntryID) -> Attribute { Attribute(rawValue: "protection/\(entry)") }
}
