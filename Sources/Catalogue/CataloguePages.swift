// Pages of the catalogue: the search, one thing, the counts, and what stewards write.
import Foundation
import Postgres
import Web

extension CatalogueItem {
    /// In the reader's language.
    func name(_ context: some PageContext) -> String { service.map { $0.title.text(context.language) } ?? context.text("attributes.\(subject)") }

    var path: String { "/catalogue/\(kind.rawValue)/\(subject)" }
    var stewardPath: String { "/staff/catalogue/\(kind.rawValue)/\(subject)" }

    /// Whether every word stands somewhere in what the page says of it. The words of names are those of the reader's language.
    func holds(_ words: [String], _ context: some PageContext) -> Bool {
        let texts = [
            name(context), subject, service?.organisation.text(context.language), service?.explanation.text(context.language), service?.purpose, service?.law,
            owner.text(context.language), described?.steward, described?.schema, described?.retention,
            context.text("catalogue.classification.\(classification.rawValue)"),
        ].compactMap { $0 } + attributes.map { context.text("attributes.\($0)") }
        let all = texts.joined(separator: " \u{1F} ").lowercased()
        return words.allSatisfy { all.contains($0) }
    }

    /// What the steward's form begins with.
    var formState: FormState {
        .filled([
            "owner": ownerID, "steward": described?.steward ?? "", "classification": classification.rawValue, "schema": described?.schema ?? "",
            "retention": described?.retention ?? "", "version": String(described?.version ?? 0),
        ])
    }
}

/// A line of a list.
struct CatalogueLine: ViewModel {
    var name: String
    var link: Link
    /// Whose service it is; nil for a kind of data.
    var organisation: String?
    var classification: String
    var isUndescribed: Bool

    static let fields: Fields<Self> = [
        "name": .text(\.name), "link": .link(\.link), "organisation": .optionalText(\.organisation), "classification": .text(\.classification),
        "is_undescribed": .flag(\.isUndescribed),
    ]

    init(_ item: CatalogueItem, path: String, _ context: some PageContext) {
        name = item.name(context)
        link = Link(path)
        organisation = item.service?.organisation.text(context.language)
        classification = context.text("catalogue.classification.\(item.classification.rawValue)")
        isUndescribed = item.described == nil
    }
}

/// `/catalogue`.
struct CataloguePage: PageModel {
    static let template = "catalogue/search"
    static let fields: Fields<Self> = [
        "words": .text(\.words), "attributes": .list(\.attributes), "services": .list(\.services), "has_attributes": .flag { !$0.attributes.isEmpty },
        "has_services": .flag { !$0.services.isEmpty }, "is_empty": .flag { $0.attributes.isEmpty && $0.services.isEmpty },
    ]

    var words: String
    var attributes: [CatalogueLine]
    var services: [CatalogueLine]

    init(_ items: [CatalogueItem], words: String, _ context: WebContext) {
        self.words = words
        let wanted = words.lowercased().split(whereSeparator: \.isWhitespace).map(String.init)
        let found = items.filter { $0.holds(wanted, context) }
        attributes = found.filter { $0.kind == .attribute }.map { CatalogueLine($0, path: $0.path, context) }
        services = found.filter { $0.kind == .service }.map { CatalogueLine($0, path: $0.path, context) }
    }
}

/// `/catalogue/{kind}/{subject}`.
struct CatalogueItemPage: PageModel {
    static let template = "catalogue/item"
    static let fields: Fields<Self> = [
        "name": .text(\.name), "explanation": .optionalText(\.explanation), "organisation": .optionalText(\.organisation), "ground": .optionalText(\.ground),
        "owner": .text(\.owner), "classification": .text(\.classification), "steward": .optionalText(\.steward), "schema": .optionalText(\.schema),
        "retention": .optionalText(\.retention), "derived": .optional(\.derived), "attributes": .list(\.attributes), "has_attributes": .flag { !$0.attributes.isEmpty },
        "uses": .list(\.uses), "has_uses": .flag { !$0.uses.isEmpty }, "is_unused": .flag { $0.isAttribute && $0.uses.isEmpty },
        "is_undescribed": .flag { $0.steward == nil },
    ]

    var name: String
    var explanation: String?
    var organisation: String?
    /// Consent, or the law.
    var ground: String?
    var owner: String
    var classification: String
    var steward: String?
    var schema: String?
    var retention: String?
    var derived: CatalogueLine?
    /// What a service reads.
    var attributes: [CatalogueLine]
    /// Who reads a kind of data.
    var uses: [CatalogueUse]
    var isAttribute: Bool

    init(_ item: CatalogueItem, among items: [CatalogueItem], _ context: WebContext) {
        let line = { (id: String) in items.first { $0.kind == .attribute && $0.subject == id }.map { CatalogueLine($0, path: $0.path, context) } }
        name = item.name(context)
        explanation = item.service?.explanation.text(context.language)
        organisation = item.service?.organisation.text(context.language)
        ground = item.service.map { CatalogueUse.ground($0, context) }
        owner = item.owner.text(context.language)
        classification = context.text("catalogue.classification.\(item.classification.rawValue)")
        steward = item.described?.steward
        schema = item.described?.schema
        retention = item.described?.retention
        derived = item.derivedFrom.flatMap(line)
        attributes = item.attributes.compactMap(line)
        uses = item.kind == .attribute ? items.filter { $0.attributes.contains(item.subject) }.compactMap { CatalogueUse($0, context) } : []
        isAttribute = item.kind == .attribute
    }
}

/// A service that reads a kind of data.
struct CatalogueUse: ViewModel {
    var title: String
    var link: Link
    var organisation: String
    var ground: String

    static let fields: Fields<Self> = ["title": .text(\.title), "link": .link(\.link), "organisation": .text(\.organisation), "ground": .text(\.ground)]

    init?(_ item: CatalogueItem, _ context: some PageContext) {
        guard let service = item.service else { return nil }
        title = item.name(context)
        link = Link(item.path)
        organisation = service.organisation.text(context.language)
        ground = Self.ground(service, context)
    }

    static func ground(_ service: CatalogueItem.Service, _ context: some PageContext) -> String {
        guard let law = service.law else { return context.text("catalogue.ground.consent") }
        return context.text("catalogue.ground.law", ["law": law])
    }
}

/// `/catalogue/statistics`.
struct StatisticsPage: PageModel {
    static let template = "catalogue/statistics"
    static let fields: Fields<Self> = ["rows": .list(\.rows), "is_empty": .flag { $0.rows.isEmpty }, "has_rows": .flag { !$0.rows.isEmpty }]

    struct Row: ViewModel {
        var month: String
        var organisation: String
        var count: String

        static let fields: Fields<Self> = ["month": .text(\.month), "organisation": .text(\.organisation), "count": .text(\.count)]
    }

    var rows: [Row]

    init(_ sharings: [MonthlySharing], _ context: WebContext) {
        rows = sharings.map { sharing in
            Row(
                month: "\(context.text("web.format.month_\(sharing.month.month)")) \(sharing.month.year)", organisation: sharing.organisation.text(context.language),
                count: sharing.count.map { context.format.number($0) } ?? context.text("catalogue.statistics.too_few"))
        }
    }
}

/// `/staff/catalogue`.
struct StewardListPage: PageModel {
    static let template = "catalogue/steward-list"
    static let fields: Fields<Self> = ["attributes": .list(\.attributes), "services": .list(\.services)]

    var attributes: [CatalogueLine]
    var services: [CatalogueLine]

    init(_ items: [CatalogueItem], _ context: StaffContext) {
        attributes = items.filter { $0.kind == .attribute }.map { CatalogueLine($0, path: $0.stewardPath, context) }
        services = items.filter { $0.kind == .service }.map { CatalogueLine($0, path: $0.stewardPath, context) }
    }
}

/// `/staff/catalogue/{kind}/{subject}`.
struct StewardPage: PageModel {
    static let template = "catalogue/steward"
    static let fields: Fields<Self> = [
        "name": .text(\.name), "organisation": .optionalText(\.organisation), "errors": .optional(\.errors), "action": .link(\.action), "shown": .link(\.shown),
        "version": .text(\.version), "owner": .model(\.owner), "steward": .model(\.steward), "classification": .model(\.classification), "schema": .model(\.schema),
        "retention": .model(\.retention), "history": .list(\.history), "has_history": .flag { !$0.history.isEmpty },
    ]

    struct Version: ViewModel {
        var at: String
        var author: String
        var said: String

        static let fields: Fields<Self> = ["at": .text(\.at), "author": .text(\.author), "said": .text(\.said)]

        init(_ version: DescriptionVersion, _ context: some PageContext) {
            at = context.format.dateTime(version.at)
            author = version.author
            said = context.format.list([
                version.owner.text(context.language), version.steward, context.text("catalogue.classification.\(version.classification.rawValue)"), version.schema,
                version.retention,
            ])
        }
    }

    var name: String
    var organisation: String?
    var errors: ErrorSummary?
    var action: Link
    var shown: Link
    /// The version that the form was filled from.
    var version: String
    var owner: ChoiceField
    var steward: TextField
    var classification: ChoiceField
    var schema: TextField
    var retention: TextField
    var history: [Version]

    init(_ item: CatalogueItem, _ history: [DescriptionVersion], owners: [(id: String, name: LocalisedText)], _ form: FormView, _ context: StaffContext) {
        name = item.name(context)
        organisation = item.service?.organisation.text(context.language)
        action = Link(item.stewardPath)
        shown = Link(item.path)
        version = String(item.described?.version ?? 0)
        owner = form.choices("owner", label: "catalogue.owner", options: owners.map { ($0.id, $0.name.text(context.language)) })
        steward = form.text("steward", label: "catalogue.steward.field", hint: "catalogue.steward.hint")
        classification = form.choices(
            "classification", label: "catalogue.classification.label",
            options: Classification.allCases.map { ($0.rawValue, context.text("catalogue.classification.\($0.rawValue)")) })
        schema = form.text("schema", label: "catalogue.schema", hint: "catalogue.schema_hint")
        retention = form.text("retention", label: "catalogue.retention", hint: "catalogue.retention_hint")
        self.history = history.map { Version($0, context) }
        errors = form.errors
    }
}
