// The receipt of one sharing: which text, which data, since and until when, and where the chain of events ends, signed by the city. The
// fields are those of ISO/IEC TS 27560 in the terms of the W3C Data Privacy Vocabulary, as its guide to that standard pairs them.
// Decided in `consent.receipt_of` (0020_consent_requests.sql); `consent.leaf_of` (0026_leaf_types.sql).
import Crypto
import Foundation
import Postgres
import Primitives
import TransparencyLog
import Web

/// How one sharing stands, with what proves it.
struct ConsentReceipt: Sendable {
    let activity: ProcessingActivity
    let eventID: UUID
    /// The last event's place in the chain, and its hash.
    let sequence: Int
    let chainHead: [UInt8]
    let state: ConsentState
    let attributes: [String]
    let since: Date
    let validUntil: Date?
    let capacity: String
    let method: String
    /// In which the text was shown.
    let language: Language
    /// The resident as the organisation knows them; nil where it does not.
    let subject: UUID?
    let issuedAt: Date
    let policy: PolicyText
    let policyMonths: Int?
    let policyReadsPerDayMax: Int?

    /// Whether there is a decision: a request that waits, or that nobody answered, is none.
    var isDecided: Bool { !state.isOpenRequest && state != .agreed && (state != .expired || !attributes.isEmpty) }

    /// What was shown, as the bytes that its hash is over.
    private var shownText: JSONValue {
        let shown = policy.title.language(for: language)
        return [
            "attributes": .array(policy.attributes.map { .string($0) }),
            "explanation": .string(policy.explanation.text(shown)),
            "reads_per_day_max": policyReadsPerDayMax.map { .integer(Int64($0)) } ?? .null,
            "title": .string(policy.title.text(shown)),
            "valid_months": policyMonths.map { .integer(Int64($0)) } ?? .null,
            "version": .integer(Int64(policy.version)),
        ]
    }

    /// SHA-256 over the canonical bytes (RFC 8785) of what was shown.
    var textHash: [UInt8] { get throws { Array(SHA256.hash(data: try shownText.canonicalised())) } }

    /// The receipt as it is signed.
    var document: JSONValue {
        get throws {
            [
                "@context": [
                    "dct": "http://purl.org/dc/terms/", "dpv": "https://w3id.org/dpv#", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
                    "stoa": "urn:stoa:consent-receipt:1:",
                ],
                "@type": "dpv:ConsentRecord",
                "dct:identifier": .string(eventID.uuidString.lowercased()),
                "dct:created": .string(RFC3339.text(issuedAt)),
                "dct:language": .string(language.tag),
                "dpv:hasDataSubject": ["dct:identifier": subject.map { .string($0.uuidString.lowercased()) } ?? .null],
                "dpv:hasNotice": [
                    "@type": "dpv:ConsentNotice", "dct:identifier": .string("\(activity.id)/\(policy.version)"), "stoa:shown": shownText,
                    "stoa:sha256": .string(hexadecimal(try textHash)),
                ],
                "dpv:hasProcess": [
                    [
                        "dpv:hasDataController": ["dct:identifier": .string(activity.organisationID), "dct:title": .string(activity.organisationName.text(language))],
                        "dpv:hasPurpose": [["@type": "dpv:Purpose", "dct:identifier": .string(activity.purpose)]],
                        "dpv:hasPersonalData": .array(attributes.map { .string($0) }),
                        "dpv:hasLegalBasis": "dpv:Consent",
                        "dpv:hasConsentStatus": [
                            "@type": .string(state.privacyVocabulary), "dpv:isIndicatedAtTime": .string(RFC3339.text(since)),
                            "stoa:capacity": .string(capacity), "stoa:method": .string(method),
                        ],
                        "dpv:hasDuration": validUntil.map { ["@type": "dpv:UntilTimeDuration", "rdf:value": .string(RFC3339.text($0))] } ?? .null,
                    ]
                ],
                "stoa:chain": ["sequence": .integer(Int64(sequence)), "sha256": .string(hexadecimal(chainHead))],
            ]
        }
    }

    /// The city's signature over the label, a line feed and the canonical bytes.
    func signature(by signer: Ed25519NoteSigner) throws -> [UInt8] {
        try signer.signature(label: Self.label, over: try document.canonicalised())
    }

    /// Keeps receipts apart from everything else that the key signs.
    static let label = "stoa consent receipt v1"
}

extension ConsentState {
    /// The term of the Data Privacy Vocabulary, version 2 (ConsentStatus).
    fileprivate var privacyVocabulary: String {
        switch self {
        case .notGiven: "dpv:ConsentUnknown"
        case .requested: "dpv:ConsentRequested"
        case .deferred: "dpv:ConsentRequestDeferred"
        case .refused: "dpv:ConsentRefused"
        case .agreed: "dpv:ConsentUnknown"
        case .given: "dpv:ConsentGiven"
        case .renewed: "dpv:RenewedConsentGiven"
        case .expired: "dpv:ConsentExpired"
        case .withdrawn: "dpv:ConsentWithdrawn"
        case .invalidated: "dpv:ConsentInvalidated"
        }
    }
}

/// The receipt of one sharing. No row before its first event.
struct ReceiptOf: Query {
    let credential: CredentialHash
    let activity: ActivityID

    var sql: SQL {
        """
        SELECT \(activityColumns), r.event_id, r.sequence, r.hash, r.state, r.attributes, r.since, r.valid_until, r.capacity, r.method, r.language,
            r.subject, r.issued_at, shown.valid_months, shown.reads_per_day_max, shown.version, shown.attributes, shown.title, shown.explanation
        FROM \(activityTables)
        CROSS JOIN consent.receipt_of(\(credential.bytes), \(activity)) AS r
        JOIN consent.policy AS shown ON shown.activity_id = a.id AND shown.version = r.policy_version
        WHERE a.id = \(activity)
        """
    }

    func decode(_ row: inout RowReader) throws -> ConsentReceipt {
        let activity = try ProcessingActivity(&row)
        let (event, sequence, hash) = (try row.next(UUID.self), try row.next(Int32.self), try row.next([UInt8].self))
        let state = ConsentState(rawValue: try row.next()) ?? .invalidated
        let attributes = try row.next([String].self)
        let (since, until) = (try row.next(Date.self), try row.next(Date?.self))
        let (capacity, method) = (try row.next(String.self), try row.next(String.self))
        let language = Language(rawValue: try row.next()) ?? .english
        let (subject, issued) = (try row.next(UUID?.self), try row.next(Date.self))
        let (months, readsPerDayMax) = (try row.next(Int?.self), try row.next(Int32?.self).map(Int.init))
        return ConsentReceipt(
            activity: activity, eventID: event, sequence: Int(sequence), chainHead: hash, state: state, attributes: attributes, since: since,
            validUntil: until, capacity: capacity, method: method, language: language, subject: subject, issuedAt: issued,
            policy: try PolicyText(&row), policyMonths: months, policyReadsPerDayMax: readsPerDayMax)
    }
}

/// What opens the event's leaf in the log: `consent.leaf_of`.
struct LeafOfEvent: Query {
    let credential: CredentialHash
    let event: UUID

    struct Row: Sendable {
        /// Nil while it waits for its leaf.
        let index: Int64?
        let opening: [UInt8]
    }

    var sql: SQL { "SELECT leaf_index, opening FROM consent.leaf_of(\(credential.bytes), \(event))" }
    func decode(_ row: inout RowReader) throws -> Row { Row(index: try row.next(), opening: try row.next()) }
}

/// `/consents/{id}/receipt`, to print.
struct ConsentReceiptPage: PageModel {
    static let template = "consent/receipt"
    static let fields: Fields<Self> = [
        "organisation": .text(\.organisation), "title": .model(\.title), "explanation": .model(\.explanation), "attributes": .texts(\.attributes),
        "has_attributes": .flag { !$0.attributes.isEmpty },
        "state": .text(\.state), "since": .text(\.since), "until": .optionalText(\.until), "issued": .text(\.issued), "version": .text(\.version),
        "text_hash": .text(\.textHash), "chain_head": .text(\.chainHead), "signature": .text(\.signature), "key": .text(\.key), "sharing": .link(\.sharing), "log_proof": .link(\.logProof),
        "by": .text(\.by),
    ]

    var organisation: String
    var title: ShownText
    var explanation: ShownText
    var attributes: [String]
    /// How it stands, in a word of the history.
    var state: String
    var by: String
    var since: String
    var until: String?
    var issued: String
    var version: String
    var textHash: String
    var chainHead: String
    var signature: String
    var key: String
    var sharing: Link
    /// Where the proof is that the log holds the event.
    var logProof: Link

    init(_ receipt: ConsentReceipt, signature: [UInt8], key: String, context: some PageContext) throws {
        organisation = receipt.activity.organisationName.text(context.language)
        title = ShownText(receipt.policy.title, receipt.language)
        explanation = ShownText(receipt.policy.explanation, receipt.language)
        attributes = receipt.attributes.map { context.attributeName($0) }
        state = context.text("consent.receipt.state.\(receipt.state.rawValue)")
        by = receipt.capacity == "guardian" ? context.text("access_log.guardian") : context.text("consent.method.\(receipt.method)", ["reference": ""])
        since = context.format.dateTime(receipt.since)
        until = receipt.state.permits ? receipt.validUntil.map { context.format.dateTime($0) } : nil
        issued = context.format.dateTime(receipt.issuedAt)
        version = String(receipt.policy.version)
        textHash = hexadecimal(try receipt.textHash)
        chainHead = "\(receipt.sequence): \(hexadecimal(receipt.chainHead))"
        self.signature = Data(signature).base64EncodedString()
        self.key = key
        sharing = Link("/consents/\(receipt.activity.id)")
        logProof = Link("/consents/\(receipt.activity.id)/receipt/proof")
    }
}
