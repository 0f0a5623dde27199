// What an organisation sends. A body is checked completely before it joins others in one transaction: a value that the database cannot
// take would fail its neighbours first. The answers are in ExchangeAnswer.swift.
import AccessLog
import Foundation
import Primitives
import Web

/// Why, what, and for which case: the same in a read of one resident and in a list.
struct ExchangeQuestion: Sendable {
    let purpose: String
    let attributes: [String]
    let caseReference: String

    /// As many as a policy can have (migrations/0003).
    static let attributesMax = 50
    /// As long as an attribute's id can be (migrations/0002).
    static let attributeCharactersMax = 40
    /// As long as a purpose can be (migrations/0003).
    static let purposeCharactersMax = 63
    /// A file number with its office and year; it is shown to the resident on one line.
    static let caseReferenceCharactersMax = 64

    /// Notes what is wrong; `finish()` of the reader throws it.
    init(_ body: inout JSONReader) {
        purpose = body.string("purpose", charactersMax: Self.purposeCharactersMax)
        attributes = body.strings("attributes", countMax: Self.attributesMax, charactersMax: Self.attributeCharactersMax)
        caseReference = body.string("case_reference", charactersMax: Self.caseReferenceCharactersMax)
        if !isIdentifier(purpose, hyphen: UInt8(ascii: "-")), !purpose.isEmpty {
            body.reject("purpose", code: "malformed", detail: "A purpose has small letters, digits and hyphens.")
        }
        for (position, attribute) in attributes.enumerated() where !isIdentifier(attribute, hyphen: UInt8(ascii: "_")) {
            body.reject("attributes[\(position)]", code: "malformed", detail: "An attribute has small letters, digits and underscores.")
        }
        if attributes.isEmpty, !body.errors.contains(where: { $0.field.hasPrefix("attributes") }) {
            body.reject("attributes", code: "empty", detail: "Name at least one attribute.")
        }
        if !caseReference.isEmpty, !caseReference.isOneVisibleLine {
            body.reject("case_reference", code: "malformed", detail: "Send one line of visible text: the resident reads it.")
        }
    }

    func access(_ operation: AccessOperation, to subject: UUID, credential: CredentialHash) -> AccessRequest {
        AccessRequest(
            credential: credential, operation: operation, subject: .pseudonym(subject), attributes: attributes, purpose: purpose,
            caseReference: caseReference)
    }
}

/// The body of a read: whom, and the question.
struct ExchangeBody: Sendable {
    let subject: UUID
    let question: ExchangeQuestion

    /// Enough for fifty attributes of forty characters, four times over; a smaller body is a cheaper one to refuse.
    static let bytesMax = 8 * 1024

    /// - Throws: one `Problem` 400 that names every bad field. A subject that is no UUID is a bad field and no unknown subject: it is
    ///   wrong for everybody alike, so saying so tells nothing about anybody, and sends whoever programs the client to the mistake.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        subject = body.uuid("subject")
        question = ExchangeQuestion(&body)
        try body.finish()
    }
}

/// The body of a list: many subjects, and one question about each.
struct ExchangeListBody: Sendable {
    /// Each once, in the order in which they are answered.
    let subjects: [UUID]
    let question: ExchangeQuestion

    /// As many as one call can log (`access_log.entry.count`).
    static let subjectsMax = 1000
    /// A thousand UUIDs, each on an indented line of its own, are 50 KiB; the rest is for the question.
    static let bytesMax = 64 * 1024
    /// More than this many faults tell whoever programs the client nothing new.
    private static let faultsMax = 20

    /// - Throws: one `Problem` 400 that names the bad fields.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        let texts = body.strings("subjects", countMax: Self.subjectsMax, charactersMax: 36)
        let parsed = texts.map { UUID(text: $0) }
        subjects = parsed.compactMap(\.self)
        for position in parsed.indices.filter({ parsed[$0] == nil }).prefix(Self.faultsMax) {
            body.reject("subjects[\(position)]", code: "wrong_type", detail: "Send a UUID of 36 characters.")
        }
        if texts.isEmpty, !body.errors.contains(where: { $0.field.hasPrefix("subjects") }) {
            body.reject("subjects", code: "empty", detail: "Name at least one subject.")
        }
        // The same UUID in large and in small letters is one subject.
        if Set(subjects).count != subjects.count { body.reject("subjects", code: "duplicate", detail: "Send each item once.") }
        question = ExchangeQuestion(&body)
        try body.finish()
    }
}

/// Whether a text has only what ids have. A comma would split one attribute into two on its way to the database.
private func isIdentifier(_ text: String, hyphen: UInt8) -> Bool {
    text.utf8.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == hyphen
    }
}
