// Pure rules of claims (OpenID Connect Core §5): which attributes of the register each is made of, and what of them a request names.
import Register
import Web

/// One claim about a resident that a service may ask for.
enum Claim: String, CaseIterable, Sendable {
    case name
    case givenName = "given_name"
    case familyName = "family_name"
    case birthdate
    case locale
    case email
    case emailVerified = "email_verified"
    case phoneNumber = "phone_number"
    case phoneNumberVerified = "phone_number_verified"
    case address

    /// What it is made of.
    var attributes: [Attribute] {
        switch self {
        case .name: [.givenNames, .familyName]
        case .givenName: [.givenNames]
        case .familyName: [.familyName]
        case .birthdate: [.dateOfBirth]
        case .locale: [.preferredLanguage]
        case .email, .emailVerified: [.email, .contactEmail]
        case .phoneNumber, .phoneNumberVerified: [.phone, .contactPhone]
        case .address: [.street, .postcode, .locality]
        }
    }

    /// The claims that a scope asks for (§5.4).
    static func asked(by scope: [String]) -> Set<Claim> {
        scope.reduce(into: []) { claims, name in
            switch name {
            case "profile": claims.formUnion([.name, .givenName, .familyName, .birthdate, .locale])
            case "email": claims.formUnion([.email, .emailVerified])
            case "phone": claims.formUnion([.phoneNumber, .phoneNumberVerified])
            case "address": claims.insert(.address)
            default: break
            }
        }
    }

    /// The attributes behind some claims, in the register's order.
    static func attributes(of claims: Set<Claim>) -> [Attribute] {
        let wanted = Set(claims.flatMap(\.attributes))
        return Attribute.all.filter(wanted.contains)
    }

    /// The value from what the door let through; nil where what it is made of is not there.
    func value(from record: OpenedRecord) -> JSONValue? {
        func text(_ attributes: Attribute...) -> JSONValue? { attributes.lazy.compactMap { record.value($0) }.first.map { .string($0) } }
        switch self {
        case .name: return record.value(.givenNames) == nil || record.value(.familyName) == nil ? nil : record.name.map { .string($0) }
        case .givenName: return text(.givenNames)
        case .familyName: return text(.familyName)
        case .birthdate: return text(.dateOfBirth)
        case .locale: return text(.preferredLanguage)
        // What residents gave themselves is the newer one.
        case .email: return text(.contactEmail, .email)
        case .phoneNumber: return text(.contactPhone, .phone)
        // Nobody has shown that they read what is sent there, so no service may take it for a proof of who somebody is.
        case .emailVerified: return text(.contactEmail, .email) == nil ? nil : false
        case .phoneNumberVerified: return text(.contactPhone, .phone) == nil ? nil : false
        case .address: return Self.address(record)
        }
    }

    /// §5.1.1.
    private static func address(_ record: OpenedRecord) -> JSONValue? {
        let members = [("street_address", Attribute.street), ("postal_code", .postcode), ("locality", .locality)].compactMap { name, attribute in
            record.value(attribute).map { JSONMember(name, .string($0)) }
        }
        return members.isEmpty ? nil : .object(members)
    }
}

/// The parameter `claims` (§5.5). Members that are not known are passed over, as §5.5 says.
struct ClaimsRequest: Sendable, Equatable {
    var userInfo: Set<Claim> = []
    var idToken: Set<Claim> = []
    /// The values of `acr`, one of which is essential; empty where none is.
    var essentialACR: [String] = []
    /// The values of `acr` that are wished for and not essential, the best first.
    var wishedACR: [String] = []
    /// Values of one list; there are three.
    static let acrValuesMax = 20

    /// Longest parameter in characters; one that names every claim has some 800.
    static let charactersMax = 4_000
    private static let depthMax = 6

    init() {}

    /// - Throws: `OAuthError` `invalid_request` for what is no JSON object.
    init(_ json: String) throws(OAuthError) {
        guard json.utf8.count <= Self.charactersMax, let value = try? JSONScanner.scan(Array(json.utf8), depthMax: Self.depthMax), case .object = value else {
            throw OAuthError(.invalidRequest, "The claims parameter must be one JSON object of at most \(Self.charactersMax) characters.")
        }
        userInfo = Self.names(in: value["userinfo"])
        idToken = Self.names(in: value["id_token"])
        let acr = value["id_token"]?["acr"]
        let values = Array(Self.values(of: acr).prefix(Self.acrValuesMax))
        if acr?["essential"] == true { essentialACR = values } else { wishedACR = values }
    }

    private static func names(in value: JSONValue?) -> Set<Claim> {
        guard case .object(let members)? = value else { return [] }
        return Set(members.compactMap { Claim(rawValue: $0.name) })
    }

    private static func values(of claim: JSONValue?) -> [String] {
        if let one = claim?["value"]?.text { return [one] }
        guard case .array(let values)? = claim?["values"] else { return [] }
        return values.compactMap(\.text)
    }
}
