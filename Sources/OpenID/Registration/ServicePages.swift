// The pages of organisation administrators about services.
import Foundation
import Web

/// The page `openid/services`.
struct ServiceListPage: PageModel {
    static let template = "openid/services"

    var services: [Item]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["services": .list(\.services), "is_empty": .flag(\.isEmpty)]

    struct Item: ViewModel {
        var name: String
        var organisation: String
        var link: Link
        var isClosed: Bool

        static let fields: Fields<Self> = ["name": .text(\.name), "organisation": .text(\.organisation), "link": .link(\.link), "is_closed": .flag(\.isClosed)]
    }

    init(_ rows: [FindServices.Row], _ context: some PageContext) {
        services = rows.map {
            Item(
                name: $0.name.text(context.language), organisation: $0.organisation.text(context.language), link: Link("/staff/services/\($0.id)"),
                isClosed: $0.closedAt != nil)
        }
        isEmpty = services.isEmpty
    }
}

/// The page `openid/new-service`.
struct NewServicePage: PageModel {
    static let template = "openid/new-service"

    var errors: ErrorSummary?
    var texts: [TextField]
    var addresses: [TextField]
    var scope: ChoiceField
    var algorithm: ChoiceField
    var ticks: [TickField]

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "texts": .list(\.texts), "addresses": .list(\.addresses), "scope": .model(\.scope), "algorithm": .model(\.algorithm),
        "ticks": .list(\.ticks),
    ]

    init(_ form: FormView, _ context: some PageContext) {
        errors = form.errors
        texts = ["organisation", "id", "name_en", "name_fr", "name_ar", "purpose", "backchannel_logout_uri"].map { name in
            form.text(name, label: "openid.admin.\(name)", hint: ["organisation", "id", "purpose"].contains(name) ? "openid.admin.\(name)_hint" : nil)
        }
        addresses = ["redirect_uris", "post_logout_redirect_uris", "keys"].map { name in
            form.area(name, label: "openid.admin.\(name)", hint: name == "post_logout_redirect_uris" ? nil : "openid.admin.\(name)_hint")
        }
        scope = form.choices("scope", label: "openid.admin.scope", options: ScopeToken.ofServices.map { ($0.rawValue, context.text($0.textKey)) })
        algorithm = form.choices("id_token_algorithm", label: "openid.admin.algorithm", options: SigningAlgorithm.allCases.map { ($0.rawValue, $0.rawValue) })
        ticks = [form.tick("fapi", label: "openid.admin.fapi"), form.tick("devices", label: "openid.admin.devices")]
    }
}

/// The page `openid/one-service`: what is registered, what residents read, other keys, and closing.
struct OneServicePage: PageModel {
    static let template = "openid/one-service"

    var errors: ErrorSummary?
    var name: String
    var organisation: String
    var id: String
    var since: String
    var scope: String
    var addresses: [String]
    var keyIDs: [String]
    var isFAPI: Bool
    var purpose: String?
    var isNothingAsked: Bool
    var explanation: String
    var attributes: [String]
    var isOpen: Bool
    var keys: TextField
    var keysAction: Link
    var closeAction: Link

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "name": .text(\.name), "organisation": .text(\.organisation), "id": .text(\.id), "since": .text(\.since),
        "scope": .text(\.scope), "addresses": .texts(\.addresses), "key_ids": .texts(\.keyIDs), "is_fapi": .flag(\.isFAPI), "purpose": .optionalText(\.purpose), "is_nothing_asked": .flag(\.isNothingAsked),
        "explanation": .text(\.explanation), "attributes": .texts(\.attributes), "is_open": .flag(\.isOpen), "keys": .model(\.keys),
        "keys_action": .link(\.keysAction), "close_action": .link(\.closeAction),
    ]

    init(_ row: FindServices.Row, _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        name = row.name.text(context.language)
        organisation = row.organisation.text(context.language)
        id = row.id
        since = context.format.day(row.registeredAt)
        scope = row.scope.joined(separator: " ")
        addresses = row.redirectAddresses
        keyIDs = row.keyIDs
        isFAPI = row.isFAPI
        purpose = row.purpose?.text(context.language)
        isNothingAsked = purpose == nil
        explanation = row.explanation?.text(context.language) ?? ""
        attributes = row.attributes.map { context.text("attributes.\($0)") }
        isOpen = row.closedAt == nil
        keys = form.area("keys", label: "openid.admin.keys", hint: "openid.admin.keys_hint")
        keysAction = Link("/staff/services/\(row.id)/keys")
        closeAction = Link("/staff/services/\(row.id)/close")
    }
}
