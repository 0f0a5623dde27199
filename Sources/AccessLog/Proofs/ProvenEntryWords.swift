// What a proven entry says, in words: on the page in the reader's language, and for the terminal in lines. Names of registers are not
// looked up: a proof says what the log recorded, not what things are called today.
import Foundation
import Primitives
import TransparencyLog
import Web

/// The page `/log/verify`.
struct VerifyEntryPage: PageModel {
    static let template = "access-log/verify"

    var errors: ErrorSummary?
    var proof: TextField
    /// What is typed behind `stoa verify entry FILE` to rely on the same keys.
    var options: String
    var proven: ProvenEntryView?

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "proof": .model(\.proof), "options": .text(\.options), "proven": .optional(\.proven),
    ]

    init(heads: LogHeads, form: FormView) {
        proof = form.area("proof", label: "log.verify.proof", hint: "log.verify.proof_hint")
        errors = form.errors
        options = (["--vkey '\(heads.verifier.vkey)'"] + heads.witnesses.map { "--witness '\($0.vkey)'" }).joined(separator: " ")
    }
}

/// An entry that stands.
struct ProvenEntryView: ViewModel {
    /// One of the two.
    var entry: EntryView?
    var fingerprint: FingerprintView?
    var place: String
    /// Who else stands behind the head; nil where the log has no witnesses.
    var witnessed: String?

    static let fields: Fields<Self> = [
        "entry": .optional(\.entry), "fingerprint": .optional(\.fingerprint), "place": .text(\.place), "witnessed": .optionalText(\.witnessed),
    ]

    /// - Parameter knownCount: how many witnesses' keys the proof was checked with.
    init(_ proven: ProvenEntry, of knownCount: Int, context: some PageContext) {
        switch proven.content {
        case .entry(let said):
            var view = EntryView(AccessEntry(said, leafIndex: proven.index, city: context.text("log.city")), context: context)
            if said.refusal == nil, said.legalBasis == "consent" {
                view.ground = context.text("log.verify.consent", ["event": said.consentEventID?.uuidString.lowercased() ?? ""])
            }
            entry = view
        case .fingerprint(let kind, let hash):
            fingerprint = FingerprintView(says: context.text("log.verify.fingerprint.\(kind.rawValue)"), fingerprint: hexadecimal(hash))
        }
        place = context.text(
            "log.verify.place",
            ["leaf": context.format.number(proven.index), "size": context.format.number(proven.treeSize), "log": proven.origin])
        guard knownCount > 0 else { return }
        witnessed = proven.witnesses.isEmpty
            ? context.text("log.verify.unwitnessed")
            : context.text("log.verify.witnessed", count: proven.witnesses.count, ["names": context.format.list(proven.witnesses.map(\.name))])
    }
}

/// What the log knows by its hash alone.
struct FingerprintView: ViewModel {
    var says: String
    var fingerprint: String

    static let fields: Fields<Self> = ["says": .text(\.says), "fingerprint": .text(\.fingerprint)]
}

extension AccessEntry {
    /// The entry as the list shows it, with ids where the list has names.
    /// - Parameter city: what the city is called where its staff acted.
    fileprivate init(_ entry: CommittedEntry, leafIndex: Int, city: String) {
        self.init(
            id: AccessEntryID(entry.id), at: entry.at, organisationID: entry.organisationID,
            organisationName: entry.organisationID.map { LocalisedText([.english: $0 == "city" ? city : $0]) }, clientID: entry.clientID,
            actorRole: entry.actorRole,
            operation: entry.operation, purpose: entry.purpose, purposeTitle: nil, activityID: nil, attributes: entry.attributes, legalBasis: entry.legalBasis,
            law: entry.law, consentAt: nil, caseReference: entry.caseReference, outcome: entry.outcome, refusal: entry.refusal,
            formEntered: nil, helperName: nil, leafIndex: Int64(leafIndex),
            count: entry.count.map { Int($0) }, question: nil,
            emergency: entry.breakGlass.map { _ in EmergencyState(reviewDueAt: nil, finding: nil, reviewedAt: nil) }, releasedName: nil, delay: nil)
    }
}

extension ProvenEntry {
    /// What the log says, a line each, in English. What others typed is shown without control characters: a terminal would obey them.
    public var lines: [String] {
        facts.compactMap { name, value in
            guard let value else { return nil }
            let visible = value.unicodeScalars.filter { $0.properties.generalCategory != .control && $0.properties.generalCategory != .format }
            return name.padding(toLength: 16, withPad: " ", startingAt: 0) + String(String.UnicodeScalarView(visible))
        }
    }

    private var facts: [(String, String?)] {
        switch content {
        case .entry(let entry): Self.facts(of: entry)
        case .fingerprint(let kind, let hash):
            [
                ("What", kind.words), ("SHA-256", hexadecimal(hash)),
                ("Compare with", kind == .consentEvent ? "stoa:chain of the receipt" : nil),
            ]
        }
    }

    private static func facts(of entry: CommittedEntry) -> [(String, String?)] {
        let organisation = entry.organisationID.map { $0 == "city" ? "the city" : $0 }
        let actor = [entry.actorKind, organisation, entry.clientID.map { "client \($0)" }, "as \(entry.actorRole)", "(\(entry.actorID))"]
        let chain = entry.sealID == nil ? "about them" : "under that order"
        let subject = entry.subjectID.map { "resident \($0.uuidString.lowercased()), entry number \(entry.subjectNumber ?? 0) \(chain)" }
        let ground = [entry.legalBasis, entry.law, entry.consentEventID.map { "consent event \($0.uuidString.lowercased())" }]
        return [
            ("Number", entry.id.uuidString.lowercased()),
            ("When", RFC3339.text(entry.at)),
            ("What", "\(entry.operation), \(entry.outcome)"),
            ("Refused because", entry.refusal),
            ("Who", actor.compactMap(\.self).joined(separator: " ")),
            ("About", subject ?? "nobody that was found"),
            ("Purpose", entry.purpose),
            ("Data", entry.attributes.isEmpty ? nil : entry.attributes.joined(separator: ", ")),
            ("Ground", entry.legalBasis == nil ? nil : ground.compactMap(\.self).joined(separator: ", ")),
            ("Case", entry.caseReference),
            ("On a list of", entry.count.map { "\($0) people" }),
            ("Told later", entry.sealID.map { "by order \($0.uuidString.lowercased())" }),
            ("In emergency", entry.breakGlass.map { "declared by entry \($0.uuidString.lowercased())" }),
        ]
    }
}
