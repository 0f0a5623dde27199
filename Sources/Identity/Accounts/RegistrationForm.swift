// What the registration form means. Errors stand beside the field that they concern.
import Foundation
import Primitives
import Web

/// The registration form, read.
struct RegistrationForm {
    var fields: FormReader
    /// Nil when something is wrong; the fields then say what.
    let registration: Registration?
    let isSharedComputer: Bool

    init(_ context: WebContext, rules: PasswordRules) {
        var fields = FormReader(context.form)
        var names: [SignInName] = []
        var isEmpty = true
        for (kind, read) in Self.nameFields {
            let field = kind.rawValue
            guard let typed = fields.optionalText(field, charactersMax: SignInName.charactersMax) else { continue }
            isEmpty = false
            // An address that no message can be sent to could never be proven.
            if let name = read(typed), kind == .username || TypedAddress(name) != nil { names.append(name) } else {
                fields.reject(field, "identity.register.\(field)_malformed")
            }
        }
        if isEmpty { fields.reject("username", "identity.register.name_missing") }
        let password = fields.secret("password")
        if let password { fields.reject("password", rules.refusal(of: password.reveal(), names: names), in: context) }
        isSharedComputer = fields.flag("shared_computer")
        registration = fields.isValid ? password.map { Registration(names: names, password: $0, language: context.language) } : nil
        self.fields = fields
    }

    /// Says that the user name belongs to somebody already. Of an address nobody is told that.
    mutating func rejectUsername() { fields.reject(SignInName.Kind.username.rawValue, "identity.register.taken") }

    /// A field is called like its kind of name.
    private static let nameFields: [(SignInName.Kind, @Sendable (String) -> SignInName?)] = [
        (.username, { SignInName.username($0) }), (.email, { SignInName.email($0) }), (.phone, { SignInName.phone($0) }),
    ]
}

extension FormReader {
    /// Says at a field why a password cannot be chosen; nothing when it can.
    mutating func reject(_ field: String, _ refusal: PasswordRefusal?, in context: some PageContext) {
        switch refusal {
        case .short: reject(field, "identity.register.password_short", ["count": context.format.number(passwordCharactersMin)])
        case .common: reject(field, "identity.register.password_common")
        case .holdsName: reject(field, "identity.register.password_holds_name")
        case nil: break
        }
    }
}
