// Tests and start-up checks: the document that describes the API against the routes that serve it. The document is kept
// by hand, so that it can explain; this keeps it true.
import HTTPTypes
import Yams

/// Compares methods and paths of an OpenAPI document with the route table.
public enum OpenAPIComparison {
    /// Why a document cannot be compared.
    public enum Failure: Error, CustomStringConvertible {
        case noPaths

        public var description: String { "the OpenAPI document has no paths" }
    }

    private static let methods: Set<String> = ["get", "put", "post", "delete", "patch", "head", "options", "trace"]

    /// - Parameters:
    ///   - document: OpenAPI 3 in YAML.
    ///   - routes: `Site.routes`; only those for programs are compared.
    /// - Returns: one line a difference, sorted; empty when the two agree.
    /// - Throws: `Failure`, or what Yams says of a malformed document.
    public static func differences(document: String, routes: [RouteRecord]) throws -> [String] {
        guard let root = try Yams.compose(yaml: document), let paths = root["paths"]?.mapping else { throw Failure.noPaths }
        var described: Set<String> = []
        for (path, item) in paths {
            guard let path = path.string, let operations = item.mapping else { continue }
            for method in operations.keys.compactMap(\.string) where methods.contains(method) {
                described.insert("\(method.uppercased()) \(path)")
            }
        }
        let served = Set(routes.lazy.filter { $0.audience.isAPI }.map { "\($0.method.rawValue) \($0.path)" })
        return described.subtracting(served).map { "described, but not served: \($0)" }.sorted()
            + served.subtracting(described).map { "served, but not described: \($0)" }.sorted()
    }
}
