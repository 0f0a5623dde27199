// An access entry as the bytes that its commitment binds to. The database has the same encoding in SQL (access_log.canonical);
// this one is written apart from it, so that each finds out an error of the other when a log is verified.
import Foundation
import TransparencyLog

/// Everything of an entry that is committed to.
struct CommittedEntry: Sendable {
    static let label = CommitmentLabel("stoa access entry v1")

    var id: UUID
    var at: Date
    var subjectID: UUID?
    var actorKind: String
    var actorID: String
    var actorRole: String
    var organisationID: String?
    var clientID: String?
    var operation: String
    var attributes: [String]
    var purpose: String
    var legalBasis: String?
    var law: String?
    var consentEventID: UUID?
    var caseReference: String?
    var outcome: String
    var refusal: String?
    var subjectNumber: Int64?
    var previousCommitment: [UInt8]?
    var count: Int64?
    /// The entry by which the glass of a protected record was broken.
    var breakGlass: UUID?
    /// The order that delayed telling the subject. Entries under it are numbered for themselves.
    var sealID: UUID?

    /// The bytes, by ``CanonicalEncoding``: fields 1 to 22 in this order.
    var canonicalBytes: [UInt8] {
        var encoding = CanonicalEncoding()
        encoding.add(1, uuid: id)
        encoding.add(2, timestamp: at)
        encoding.add(3, uuid: subjectID)
        encoding.add(4, string: actorKind)
        encoding.add(5, string: actorID)
        encoding.add(6, string: actorRole)
        encoding.add(7, string: organisationID)
        encoding.add(8, string: clientID)
        encoding.add(9, string: operation)
        encoding.add(10, strings: attributes)
        encoding.add(11, string: purpose)
        encoding.add(12, string: legalBasis)
        encoding.add(13, string: law)
        encoding.add(14, uuid: consentEventID)
        encoding.add(15, string: caseReference)
        encoding.add(16, string: outcome)
        encoding.add(17, string: refusal)
        encoding.add(18, integer: subjectNumber)
        encoding.add(19, bytes: previousCommitment)
        encoding.add(20, integer: count)
        encoding.add(21, uuid: breakGlass)
        encoding.add(22, uuid: sealID)
        return encoding.bytes
    }

    /// The leaf of this entry in the public tree.
    func commitment(salt: [UInt8]) throws -> Commitment {
        try Commitment(label: Self.label, salt: salt, canonicalEntry: canonicalBytes)
    }
}

extension CommitmentLabel {
    /// The leaf data for a commitment as the database stores it: the label, then the 32 bytes.
    func leafData(_ commitment: [UInt8]) -> [UInt8] { bytes + commitment }
}
