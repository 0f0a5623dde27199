// openapi.yaml is kept by hand, so that it can explain; these tests keep it true: its addresses are those of the composed site, and
// every type of problem that the code can answer is in it.
import Foundation
import HTTPTypes
import Logging
import Postgres
import Register
import TestSupport
import Testing
import TransparencyLog
import Web
import Yams

@testable import Stoa

@Suite("openapi.yaml")
struct OpenAPITests {
    private static func document() throws -> Node {
        let text = try String(contentsOf: TestCluster.projectRoot.appendingPathComponent("openapi.yaml"), encoding: .utf8)
        return try #require(try Yams.compose(yaml: text))
    }

    /// The routes for programs of the whole city, as "GET /path".
    private static func served() async throws -> Set<String> {
        let test = try await TestCluster.migrated()
        var configuration = try await StoaConfiguration.load(file: nil, environment: [:])
        configuration.rootDirectory = TestCluster.projectRoot.path
        let logger = Logger(label: "test")
        let keys = KeyRing(
            vault: ResidentVault(keyEncryptionKey: [UInt8](repeating: 7, count: 32)), lookup: LookupKey(secret: [UInt8](repeating: 9, count: 32)),
            logSigner: try Ed25519NoteSigner.generate(name: "test.example/log"))
        let database = try Database(configuration: .init(url: test.appURL), logger: logger)
        let city = try City(configuration, database: database, url: test.appURL, keys: keys, logger: logger)
        return Set(city.site.routes.filter(\.audience.isAPI).map { "\($0.method.rawValue) \($0.path)" })
    }

    @Test func describesTheRoutesThatTheCityServesAndNoOthers() async throws {
        let paths = try #require(try Self.document()["paths"]?.mapping)
        let methods: Set<String> = ["get", "put", "post", "delete", "patch", "head", "options", "trace"]
        var described: Set<String> = []
        for (path, item) in paths {
            for method in (item.mapping?.keys).map(Array.init) ?? [] where methods.contains(method.string ?? "") {
                described.insert("\(method.string?.uppercased() ?? "") \(path.string ?? "")")
            }
        }
        let served = try await Self.served()
        #expect(served.count > 10)
        #expect(described.subtracting(served).sorted() == [], "described, but not served")
        #expect(served.subtracting(described).sorted() == [], "served, but not described")
    }

    /// Answers of pages only: no program sends a form token or registers.
    private static let typesOfPages: Set<String> = ["form-token-invalid", "too-many-attempts"]

    @Test func listsEveryTypeOfProblemThatTheCodeCanAnswer() throws {
        let list = try #require(try Self.document()["components"]?["schemas"]?["Problem"]?["properties"]?["type"]?["x-problem-types"]?.mapping)
        let listed = Set(list.keys.compactMap(\.string))
        var sources = ""
        let folder = TestCluster.projectRoot.appendingPathComponent("Sources")
        for case let file as URL in try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        where file.pathExtension == "swift" { sources += try String(contentsOf: file, encoding: .utf8) }
        // Problems are made by `Problem("slug", …)`, or by the helper of the exchange.
        let thrown = Set(sources.matches(of: /(?:Problem|refused)\(\s*"([a-z0-9-]+)",/).map { String($0.1) })
        #expect(thrown.count > 20)
        #expect(thrown.subtracting(listed).subtracting(Self.typesOfPages).sorted() == [], "answered, but not listed")
        #expect(listed.filter { !sources.contains("\"\($0)\"") }.sorted() == [], "listed, but never answered")
    }
}
