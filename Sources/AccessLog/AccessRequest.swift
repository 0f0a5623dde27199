// What somebody asks of the door, and what the door answers. The vocabulary is that of access_log.authorise (migrations/0008).
public import Foundation
public import Postgres
public import Primitives
public import Web

/// What an access entry's id names.
public enum AccessEntryTag {}
public typealias AccessEntryID = ID<AccessEntryTag>

/// Whose data is asked for, as the asker knows them.
public enum SubjectReference: Sendable, Hashable {
    /// The name under which the asking organisation knows the resident.
    case pseudonym(UUID)
    /// A resident whom an earlier search found.
    case resident(ResidentID)
    case publicCode(PublicCode)
    /// Keyed HMAC of a national number (Register.LookupKey), 32 bytes.
    case nationalNumber([UInt8])
    /// Keyed HMAC of exact names and day of birth, 32 bytes.
    case nameAndBirthDate([UInt8])
    /// The resident whom the credential names.
    case own

    var kind: String {
        switch self {
        case .pseudonym: "pseudonym"
        case .resident: "resident"
        case .publicCode: "public_code"
        case .nationalNumber: "national_number"
        case .nameAndBirthDate: "name_and_birth_date"
        case .own: "self"
        }
    }

    var key: String {
        switch self {
        case .pseudonym(let uuid): uuid.text
        case .resident(let id): id.description
        case .publicCode(let code): code.description
        case .nationalNumber(let hmac), .nameAndBirthDate(let hmac): hmac.map { hexPairs[Int($0)] }.joined()
        case .own: ""
        }
    }
}

private let hexPairs = (0..<256).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }

/// What is done with the data.
public enum AccessOperation: String, Sendable, Hashable {
    /// An organisation receives attributes.
    case disclose
    /// An organisation receives attributes of many people in one call (``Door/read(_:)-([AccessRequest])``).
    case list
    /// A member of staff opens a record.
    case view
    /// A member of staff looks whether somebody is in the register.
    case search
    /// A member of staff keys in a paper form.
    case paperEntry = "paper_entry"
    /// A member of staff begins to open a protected record in an emergency.
    case breakGlass = "break_glass"
    /// An auditor looks into the log: a question, an emergency, an unusual access, or whether a record is to be protected.
    case logView = "log_view"
    /// A portal shows a resident who looked at their data.
    case usage
    /// A service receives claims about the resident who signed in there: as much of the attributes as consent or law covers.
    case claims
    /// Residents look at their own data.
    case ownView = "own_view"
}

/// One request to read personal data. Who asks is not in it: the database derives that from the credential.
public struct AccessRequest: Sendable {
    public let id: AccessEntryID
    public let credential: CredentialHash
    public let operation: AccessOperation
    public let subject: SubjectReference
    public let attributes: [String]
    /// The organisation's purpose, the staff member's reason, or the kind of an own view.
    public let purpose: String
    public let caseReference: String

    public init(
        credential: CredentialHash, operation: AccessOperation, subject: SubjectReference, attributes: [String], purpose: String,
        caseReference: String
    ) {
        id = .new()
        self.credential = credential
        self.operation = operation
        self.subject = subject
        self.attributes = attributes
        self.purpose = purpose
        self.caseReference = caseReference
    }
}

/// Why the door stays shut. The words are those of the database, and of the log.
public enum Refusal: String, Sendable, Hashable, CaseIterable {
    case credentialInvalid = "credential_invalid"
    case scopeMissing = "scope_missing"
    case volumeExceeded = "volume_exceeded"
    /// More often about this resident than the policy says.
    case frequencyExceeded = "frequency_exceeded"
    case roleMissing = "role_missing"
    case reasonUnknown = "reason_unknown"
    case caseReferenceMissing = "case_reference_missing"
    case purposeUnknown = "purpose_unknown"
    case attributesMissing = "attributes_missing"
    case attributesNotInPurpose = "attributes_not_in_purpose"
    case consentMissing = "consent_missing"
    case subjectUnknown = "subject_unknown"
    case subjectAmbiguous = "subject_ambiguous"
    /// A protected record, which opens only while the glass is broken.
    case subjectProtected = "subject_protected"
    /// No glass to break: the record opens without.
    case subjectNotProtected = "subject_not_protected"
    case operationUnknown = "operation_unknown"
}

/// A refusal with what it concerns.
public struct RefusedAccess: Error, Sendable, Hashable {
    public let refusal: Refusal
    /// The attributes that no consent or law covers.
    public let missing: [String]
}

/// The wrapped data key that values are sealed under, and the resident whom it is bound to.
public struct SealingKey: Sendable, Hashable {
    public let holderID: ResidentID
    public let keyID: String?
    public let wrappedKey: [UInt8]?

    public init(holderID: ResidentID, keyID: String?, wrappedKey: [UInt8]?) {
        self.holderID = holderID
        self.keyID = keyID
        self.wrappedKey = wrappedKey
    }

    /// The columns `holder_id`, `key_id` and `wrapped_key`, which every function that gives out what is sealed gives in this order.
    public init(_ row: inout RowReader) throws {
        self.init(holderID: ResidentID(try row.next(UUID.self)), keyID: try row.next(), wrappedKey: try row.next())
    }
}

/// One value, still sealed.
public struct SealedAttribute: Sendable {
    public let attribute: String
    public let sealedValue: [UInt8]
    public let source: String
    public let recordedAt: Date
}

/// What lies sealed under one key.
public struct SealedHolding: Sendable {
    public let key: SealingKey
    public internal(set) var attributes: [SealedAttribute]
    /// Not asked for, and not to be passed on: what the answers to derived attributes are found by.
    public internal(set) var bases: [SealedAttribute] = []
}

/// What the door let through: sealed values of one subject, and the wrapped keys that open them (Register.ResidentVault).
public struct ReleasedRecord: Sendable {
    public let entryID: AccessEntryID
    /// The moment of the entry, by the database's clock.
    public let at: Date
    public let residentID: ResidentID
    public let publicCode: String
    public let identityAssurance: Int
    /// One a key: nearly always the subject's own alone; a second where details lie under an earlier record of the subject.
    public internal(set) var holdings: [SealedHolding]

    /// Sets apart what was released only to answer a derived attribute.
    func separatingBases(asked: [String]) -> ReleasedRecord {
        guard holdings.contains(where: { $0.attributes.contains { !asked.contains($0.attribute) } }) else { return self }
        var record = self
        for position in holdings.indices {
            record.holdings[position].bases = holdings[position].attributes.filter { !asked.contains($0.attribute) }
            record.holdings[position].attributes.removeAll { !asked.contains($0.attribute) }
        }
        return record
    }

    /// The subject's own key.
    public var key: SealingKey? { holdings.first { $0.key.holderID == residentID }?.key }
}
