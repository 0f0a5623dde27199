// What an organisation is told when a consent ends, and what it answers: the document that the city signs, and the bodies around it. The rules
// are in migrations/0024_notices.sql; statements in NoticeSQL.swift, addresses in NoticeRoutes.swift.
import Foundation
import Primitives
import TransparencyLog
import Web

/// What `NoticeID` names: a notice to one organisation about one resident.
enum NoticeTag {}
typealias NoticeID = ID<NoticeTag>

/// That an organisation may not read something any more, and how that stands.
struct Notice: Sendable {
    let id: NoticeID
    /// Its place among the organisation's notices, from 1, without holes.
    let number: Int64
    let organisationID: String
    /// The resident's pseudonym at this organisation.
    let subject: UUID
    let purpose: String
    /// `withdrawn`, `invalidated`, `expired` or `narrowed`.
    let reason: String
    /// What may not be read any more, in the policy's order.
    let attributes: [String]
    /// From which instant on.
    let since: Date
    let madeAt: Date
    /// By when the organisation says what it did.
    let dueAt: Date
    /// `open`, `overdue`, `acknowledged` or `allowed_again`.
    let state: String
    let acknowledgement: Acknowledgement?

    /// What the organisation said it did.
    struct Acknowledgement: Sendable {
        let done: String
        let law: String?
        let at: Date
    }

    /// What is signed: nothing that changes later.
    var document: JSONValue {
        [
            "id": .string(id.description),
            "organisation": .string(organisationID),
            "subject": .string(subject.uuidString.lowercased()),
            "purpose": .string(purpose),
            "reason": .string(reason),
            "attributes": .array(attributes.map { .string($0) }),
            "since": .string(RFC3339.text(since)),
            "made_at": .string(RFC3339.text(madeAt)),
            "due_at": .string(RFC3339.text(dueAt)),
        ]
    }

    /// Keeps notices apart from everything else that the key signs.
    static let label = "stoa consent notice v1"

    /// The notice as the organisation gets it, with the city's signature over the label, a line feed and the canonical bytes (RFC 8785) of `notice`.
    func item(signedBy signer: Ed25519NoteSigner) throws -> JSONValue {
        let signature = try signer.signature(label: Self.label, over: document.canonicalised())
        return [
            "number": .integer(number),
            "notice": document,
            "signature": [
                "algorithm": "Ed25519", "label": .string(Self.label), "vkey": .string(signer.verifier.vkey),
                "value": .string(Data(signature).base64EncodedString()),
            ],
            "state": .string(state),
            "acknowledgement": acknowledgement.map { given in
                ["done": .string(given.done), "law": given.law.map { .string($0) } ?? .null, "at": .string(RFC3339.text(given.at))]
            } ?? .null,
        ]
    }
}

/// The body of an acknowledgement.
struct AcknowledgementBody: Sendable {
    enum Done: String, Sendable, CaseIterable {
        case deleted
        case kept
    }

    let done: Done
    /// Which law lets the organisation keep the data; exactly with `kept`.
    let law: String?

    /// As long as the column takes (migrations/0024): an act, its section, its year.
    private static let lawCharactersMax = 200
    /// Shorter names no law.
    private static let lawCharactersMin = 3
    /// Enough for both fields in any escaping.
    static let bytesMax = 4 * 1024

    /// - Throws: one `Problem` 400 that names every bad field.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        let done = body.choice("done", of: Done.self)
        let law: String? = body.value("law") == nil ? nil : body.string("law", charactersMax: Self.lawCharactersMax)
        switch (done, law) {
        case (.kept, nil): body.reject("law", code: "missing", detail: "Name the law that lets you keep the data.")
        case (.deleted, _?): body.reject("law", code: "not_with_deleted", detail: "Leave it out: it says why data is kept.")
        case (_, let law?) where !law.isEmpty && (!law.isOneVisibleLine || law.unicodeScalars.count < Self.lawCharactersMin):
            body.reject("law", code: "malformed", detail: "Send one line of visible text: the resident reads it.")
        default: break
        }
        try body.finish()
        // `finish` throws when the choice was missing; the default is never used.
        self.done = done ?? .deleted
        self.law = law
    }
}
