// What the forms about protected records mean.
import Foundation
import Primitives
import Web

/// What an auditor does about a record's protection.
enum ProtectionChange: String, CaseIterable, Sendable {
    case protect
    case lift
}

/// The form of `/staff/protection`.
struct ProtectionForm {
    var fields: FormReader
    let asked: Asked?

    struct Asked: Sendable {
        let code: PublicCode
        let isProtected: Bool
        let words: String
        let caseReference: String
    }

    init(_ context: StaffContext) {
        var fields = FormReader(context.form)
        let typed = fields.text("public_code", charactersMax: 40)
        let code = try? PublicCode.parse(typed)
        if code == nil, !typed.isEmpty { fields.reject("public_code", "casework.search.code_malformed") }
        let reference = fields.caseReference()
        let change = fields.choice("change", of: ProtectionChange.self)
        let words = fields.reason("words")
        if fields.isValid, let code, let change {
            asked = Asked(code: code, isProtected: change == .protect, words: words, caseReference: reference)
        } else {
            asked = nil
        }
        self.fields = fields
    }
}

extension FormReader {
    /// A case that the resident can read on one line.
    mutating func caseReference() -> String {
        let text = text("case_reference", charactersMax: CaseworkLimits.caseReferenceCharactersMax)
        if !text.isEmpty, !text.isOneVisibleLine { reject("case_reference", "casework.search.case_malformed") }
        return text
    }

    /// A written reason of ``BreakGlass/reasonCharacters``.
    mutating func reason(_ name: String) -> String {
        let words = longText(name, charactersMax: BreakGlass.reasonCharacters.upperBound)
        if isValid(name), words.unicodeScalars.count < BreakGlass.reasonCharacters.lowerBound { reject(name, "glass.reason_short") }
        return words
    }

    private func isValid(_ name: String) -> Bool { !errors.contains { $0.field == name } }
}
