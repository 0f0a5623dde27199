// Use cases: a resident lets another one act for them; that one accepts, acts, and stops; either ends it.
// Decided in `mandates.grant_mandate`, `mandates.decide`, `mandates.act`, `mandates.stop_acting` and `mandates.log_view` (0034_mandates.sql).
public import AccessLog
public import Foundation
public import Postgres
public import Primitives
public import Register
public import Web

public enum MandateTag {}
public typealias MandateID = ID<MandateTag>

/// A matter in which somebody can act for another. Its raw value is the database's word.
public enum MandateTheme: String, Sendable, CaseIterable {
    case messages
    case money

    /// Where a helper begins.
    var path: String {
        switch self {
        case .messages: "/messages"
        case .money: "/bills"
        }
    }
}

/// Where a mandate stands: `mandates.state`.
enum MandateState: String, Sendable {
    /// For the helper's word.
    case waiting
    case inForce = "in_force"
    case expired
    case declined
    case givenUp = "given_up"
    case withdrawn
    case erased

    var isOpen: Bool { self == .waiting || self == .inForce }
}

/// A mandate that the resident who asks gave, or holds.
struct Mandate: Sendable {
    let id: MandateID
    let reference: String
    /// Given by whoever asks; otherwise they are the helper.
    let isGiven: Bool
    let state: MandateState
    let themes: [MandateTheme]
    let grantedAt: Date
    let until: Date
    /// The public code of the other.
    let otherCode: String
    /// What whoever asks knows the other by.
    let otherName: String
}

/// For whom a helper acts at this moment.
struct Represented: Sendable {
    let id: MandateID
    let reference: String
    let name: String
    let themes: [MandateTheme]
    let isInForce: Bool
    let until: Date
}

/// What a resident who gives a mandate says.
struct NewMandate: Sendable {
    let helper: PublicCode
    /// What the resident calls the helper.
    let helperName: String
    let themes: [MandateTheme]
    /// At most ``Mandates/daysMax`` away.
    let days: Int
}

/// Gives, accepts, ends and uses mandates.
public struct Mandates: Sendable {
    let database: Database
    let door: Door
    let vault: ResidentVault

    /// How long a mandate can last: as `mandate_until` of the schema.
    static let daysMax = 731
    /// What the resident calls the helper, in characters: a name and what they are to each other.
    static let nameCharactersMax = 100

    public init(database: Database, door: Door, vault: ResidentVault) {
        self.database = database
        self.door = door
        self.vault = vault
    }

    /// The mandates of the resident whom the session names, the newest first.
    func all(of session: CredentialHash) async throws -> [Mandate] {
        try await database.query(MandatesOf(session: session)).map { row in
            Mandate(
                id: row.id, reference: row.reference, isGiven: row.isGiven, state: row.state, themes: row.themes, grantedAt: row.grantedAt, until: row.until,
                otherCode: row.otherCode,
                otherName: try vault.open(row.sealedName, as: row.isGiven ? .helperName(row.id) : .representedName(row.id), under: row.key))
        }
    }

    /// Lets somebody act. The helper reads the resident's name as the register has it, which is an own view of the resident.
    func grant(_ new: NewMandate, session: CredentialHash) async throws -> GrantMandateOutcome {
        guard let own = try await database.optional(MandateKey(.own, session: session)) else { return .credentialInvalid }
        guard let helper = try await database.optional(MandateKey(.helper(new.helper), session: session)) else { return .helperUnknown }
        let record = try vault.open(
            try await door.read(
                AccessRequest(
                    credential: session, operation: .ownView, subject: .own, attributes: [Attribute.givenNames, .familyName].map(\.rawValue), purpose: "profile",
                    caseReference: "")))
        let id = MandateID.new()
        let statement = GrantMandate(
            session: session, id: id, new: new, sealedHelperName: try vault.seal(new.helperName, as: .helperName(id), under: own),
            sealedRepresentedName: try vault.seal(record.name ?? record.publicCode, as: .representedName(id), under: helper))
        return try await database.exclusive { try await $0.one(statement) }
    }

    func decide(_ decision: MandateDecision, _ id: MandateID, session: CredentialHash) async throws -> DecideMandateOutcome {
        try await database.exclusive { try await $0.one(DecideMandate(session: session, id: id, decision: decision)) }
    }

    /// Begins to act.
    /// - Returns: the token of the credential that the browser holds meanwhile; nil when the mandate is not (any more) theirs to use.
    func act(under id: MandateID, session: CredentialHash) async throws -> String? {
        // Nobody learns the secret behind the session while it stands still.
        let (token, own) = (SessionCookie.newToken(), CredentialHash(token: SessionCookie.newToken()))
        let statement = Act(session: session, id: id, own: own, acting: CredentialHash(token: token))
        return try await database.exclusive { try await $0.one(statement) } == "acting" ? token : nil
    }

    /// Back to oneself.
    /// - Returns: the new token of the helper's own session; nil when that has ended.
    func stopActing(_ credential: CredentialHash) async throws -> String? {
        let token = SessionCookie.newToken()
        return try await database.exclusive { try await $0.one(StopActing(credential: credential, own: CredentialHash(token: token))) } ? token : nil
    }

    /// For whom the helper acts; nil for a credential of anybody else.
    func represented(by credential: CredentialHash) async throws -> Represented? {
        try await database.optional(RepresentedBy(credential: credential)).map { row in
            Represented(
                id: row.id, reference: row.reference, name: try vault.open(row.sealedName, as: .representedName(row.id), under: row.key), themes: row.themes,
                isInForce: row.isInForce, until: row.until)
        }
    }

    /// Logs that the helper looks at a matter, before anything of it is told.
    /// - Returns: whether the mandate covers it now.
    func logView(of theme: MandateTheme, by credential: CredentialHash) async throws -> Bool {
        try await database.exclusive { try await $0.one(LogMandateView(credential: credential, theme: theme)) } == "permitted"
    }
}

extension Attribute {
    // What a sealed name is bound to.
    fileprivate static func helperName(_ id: MandateID) -> Attribute { Attribute(rawValue: "mandate_helper/\(id)") }
    fileprivate static func representedName(_ id: MandateID) -> Attribute { Attribute(rawValue: "mandate_resident/\(id)") }
}
