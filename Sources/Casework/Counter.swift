// The public face of the counter: proving an identity from beginning to end, as a caseworker's session.
// Decided in `casework.prove_identity` and `casework.key_paper_consent` (0012_casework.sql).
public import AccessLog
import Foundation
import Messages
public import Postgres
public import Primitives
public import Web

/// What a caseworker does with a person and a passport.
public struct Counter: Sendable {
    private let database: Database
    private let door: Door

    public init(database: Database, door: Door) {
        self.database = database
        self.door = door
    }

    /// Finds the register record, opens it for a stated case, and links the account of who stands there.
    /// - Returns: the outcome's word (`casework.prove_identity`): `linked`, `already_linked`, or why not.
    /// - Throws: `RefusedAccess`, `DatabaseError`.
    public func proveIdentity(
        session: CredentialHash, record: SubjectReference, accountCode: PublicCode, caseReference: String, language: Language
    ) async throws -> String {
        let found = try await door.read(
            AccessRequest(
                credential: session, operation: .search, subject: record, attributes: [], purpose: OpeningReason.identityProofing.rawValue,
                caseReference: caseReference))
        guard let opening = try await database.one(OpenRecord(credential: session, openingID: .new(), searchEntryID: found.entryID)) else {
            return "not_allowed"
        }
        return try await Self.prove(
            ProveIdentityStatement(
                credential: session, openingID: opening, evidenceID: UUID(), accountCode: accountCode, evidence: .passport, language: language),
            of: found.residentID, publicCode: found.publicCode, on: database)
    }

    /// Links, and tells the resident, in one transaction.
    /// - Parameter publicCode: the record's, by which the resident goes from now on instead of the account's own.
    static func prove(
        _ statement: ProveIdentityStatement, of resident: ResidentID, publicCode: String, on database: Database
    ) async throws -> String {
        try await database.transaction { transaction in
            let outcome = try await transaction.one(statement)
            if outcome == "linked" {
                try await Messages.send(.identityProven, to: resident, on: transaction)
                try await Messages.send(.codeChanged, to: resident, ["code": publicCode], on: transaction)
            }
            return outcome
        }
    }
}
