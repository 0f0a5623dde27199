// The register: whom the city serves and what it holds about them. Values are sealed per resident (ResidentVault), found only by
// keyed HMAC (LookupKey), written here and read only through AccessLog.Door.
/// One kind of personal data, by the id that policies, requests and log entries use. Its names are in the catalogue `attributes`.
public struct Attribute: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    public static let givenNames = Attribute(rawValue: "given_names")
    public static let familyName = Attribute(rawValue: "family_name")
    public static let dateOfBirth = Attribute(rawValue: "date_of_birth")
    public static let nationalNumber = Attribute(rawValue: "national_number")
    public static let street = Attribute(rawValue: "street")
    public static let postcode = Attribute(rawValue: "postcode")
    public static let locality = Attribute(rawValue: "locality")
    public static let phone = Attribute(rawValue: "phone")
    public static let email = Attribute(rawValue: "email")
    public static let preferredLanguage = Attribute(rawValue: "preferred_language")
    public static let username = Attribute(rawValue: "username")
    public static let contactEmail = Attribute(rawValue: "contact_email")
    public static let contactPhone = Attribute(rawValue: "contact_phone")

    /// What the city holds, in the order of `register.attribute.position`: the order in which pages list them. Derived ones
    /// (DerivedAttributes.swift) are held nowhere and answered only to organisations.
    public static let all: [Attribute] = [
        .givenNames, .familyName, .dateOfBirth, .nationalNumber, .street, .postcode, .locality, .phone, .email, .preferredLanguage,
        .username, .contactEmail, .contactPhone,
    ]
}
