// What the registration form means. Errors stand beside the field that they concern.
import Foundation
import Primitives
import Web

/// Shortest password, in characters (NIST SP 800-63B-3 §5.1.1.2). There are no rules of composition.
let passwordCharactersMin = 8

/// The registration form, read.
struct RegistrationForm {
    var fields: FormReader
    /// Nil when something is wrong; the fields then say what.
    let registration: Registration?
    let isSharedComputer: Bool
    /// Where an error about the names stands.
    let firstNameField: String

    init(_ context: WebContext) {
        var fields = FormReader(context.form)
        var names: [SignInName] = []
        var typedFields: [String] = []
        for (field, read) in Self.nameFields {
            guard let typed = fields.optionalText(field, charactersMax: SignInName.charactersMax) else { continue }
            typedFields.append(field)
            if let name = read(typed) { names.append(name) } else { fields.reject(field, "identity.register.\(field)_malformed") }
        }
        if typedFields.isEmpty { fields.reject("username", "identity.register.name_missing") }
        let password = fields.secret("password")
        if let password, password.reveal().count < passwordCharactersMin {
            fields.reject("password", "identity.register.password_short", ["count": context.format.number(passwordCharactersMin)])
        }
        isSharedComputer = fields.flag("shared_computer")
        firstNameField = typedFields.first ?? "username"
        registration = fields.isValid ? password.map { Registration(names: names, password: $0, language: context.language) } : nil
        self.fields = fields
    }

    private static let nameFields: [(String, @Sendable (String) -> SignInName?)] = [
        ("username", { SignInName.username($0) }), ("email", { SignInName.email($0) }), ("phone", { SignInName.phone($0) }),
    ]
}
