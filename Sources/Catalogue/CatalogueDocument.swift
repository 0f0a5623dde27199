// The catalogue for other catalogues: DCAT-AP 3 (SEMIC) over W3C DCAT 3, as JSON-LD. Only what is open is in it; the page for people shows the rest.
import Foundation
import Web

/// Every open thing, and what the city publishes anyway: its sharing statistics and the log's tree.
/// - Parameter attributeName: of a kind of data, in the language of the answer.
func catalogueDocument(_ items: [CatalogueItem], baseURL: BaseURL, city: String, attributeName: (String) -> String) -> JSONValue {
    let base = baseURL.origin
    let publisher: JSONValue = ["@type": "foaf:Agent", "foaf:name": .string(city)]
    let attributes = items.filter { $0.kind == .attribute }.map { item -> JSONValue in
        dataset(
            id: base + item.path, identifier: item.subject, title: .string(attributeName(item.subject)), description: .string(item.described?.schema ?? item.subject),
            owner: item.owner, access: nil, item.described)
    }
    let services = items.compactMap { item -> JSONValue? in
        guard let service = item.service else { return nil }
        return .object(
            [
                JSONMember("@id", .string(base + item.path)), JSONMember("@type", "dcat:DataService"),
                JSONMember("dct:identifier", .string("\(service.organisationID)/\(service.purpose)")), JSONMember("dct:title", languages(service.title)),
                JSONMember("dct:description", languages(service.explanation)), JSONMember("dct:publisher", agent(item.owner)),
                JSONMember("dcat:endpointURL", ["@id": .string(base + "/api/v1/exchange/reads")]),
                JSONMember("dcat:endpointDescription", ["@id": .string(base + "/api/openapi.yaml")]),
            ] + said(item.described))
    }
    let own: [JSONValue] = [
        dataset(
            id: base + "/catalogue/statistics", identifier: "sharing-statistics", title: "Requests for residents' data by organisation and month",
            description: "Months that are over, in tens; fewer than 20 are not told.", publisher: publisher, access: base + "/catalogue/statistics"),
        dataset(
            id: base + "/log/checkpoint", identifier: "access-log-tree", title: "Tree of the access log",
            description: "Signed heads and tiles of hashes (C2SP tlog-tiles), from which anybody checks that nothing was removed.", publisher: publisher,
            access: base + "/log/checkpoint"),
    ]
    return [
        "@context": [
            "dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/", "vcard": "http://www.w3.org/2006/vcard/ns#",
            "stoa": "urn:stoa:catalogue:1:",
        ],
        "@id": .string(base + "/catalogue"), "@type": "dcat:Catalog", "dct:title": .string(city),
        "dct:description": "What the city and the organisations that it exchanges data with hold and offer, as far as it is open.", "dct:publisher": publisher,
        "foaf:homepage": ["@id": .string(base + "/catalogue")], "dcat:dataset": .array(attributes + own), "dcat:service": .array(services),
    ]
}

private func dataset(
    id: String, identifier: String, title: JSONValue, description: JSONValue, owner: LocalisedText, access: String?, _ described: Description?
) -> JSONValue {
    guard case .object(let members) = dataset(id: id, identifier: identifier, title: title, description: description, publisher: agent(owner), access: access) else {
        return .null
    }
    return .object(members + said(described))
}

private func dataset(id: String, identifier: String, title: JSONValue, description: JSONValue, publisher: JSONValue, access: String?) -> JSONValue {
    var members = [
        JSONMember("@id", .string(id)), JSONMember("@type", "dcat:Dataset"), JSONMember("dct:identifier", .string(identifier)), JSONMember("dct:title", title),
        JSONMember("dct:description", description), JSONMember("dct:publisher", publisher),
        // The EU's vocabulary of access rights.
        JSONMember("dct:accessRights", ["@id": "http://publications.europa.eu/resource/authority/access-right/PUBLIC"]),
    ]
    if let access { members.append(JSONMember("dcat:distribution", ["@type": "dcat:Distribution", "dcat:accessURL": ["@id": .string(access)]])) }
    return .object(members)
}

/// What the steward says of it.
private func said(_ described: Description?) -> [JSONMember] {
    guard let described else { return [] }
    return [
        JSONMember("dcat:contactPoint", ["@type": "vcard:Organization", "vcard:fn": .string(described.steward)]), JSONMember("stoa:schema", .string(described.schema)),
        JSONMember("stoa:retention", .string(described.retention)),
    ]
}

private func agent(_ name: LocalisedText) -> JSONValue { ["@type": "foaf:Agent", "foaf:name": languages(name)] }

/// A text in each language that there is.
private func languages(_ text: LocalisedText) -> JSONValue {
    .array(
        Language.allCases.filter { text.language(for: $0) == $0 }.map { ["@value": .string(text.text($0)), "@language": .string($0.tag)] })
}
