// What every request needs and none changes: made once at start-up from configuration and files, shared by all contexts.
import Foundation
import Logging

/// The read-only furniture of the site.
final class WebServices: Sendable {
    let configuration: WebConfiguration
    let cookies: CookieNames
    let catalogues: [Language: Catalogue]
    let formatters: [Language: PageFormat]
    let templates: Templates
    let assets: Assets
    let problemTypes: Set<String>
    let resolve: CredentialResolver
    let navigation: [NavigationItem]
    let taskSources: [TaskSource]
    let staffTaskSources: [StaffTaskSource]
    let ownData: [OwnDataPart]
    let pageTypes: Set<ObjectIdentifier>
    let routes: RouteTable
    let rememberLanguage: LanguageMemory?
    let readiness: ReadinessProbe?
    let representing: Representing?

    init(
        configuration: WebConfiguration, files: SiteFiles, resolve: @escaping CredentialResolver, navigation: [NavigationItem], taskSources: [TaskSource],
        staffTaskSources: [StaffTaskSource], ownData: [OwnDataPart], pageTypes: Set<ObjectIdentifier>, routes: RouteTable, rememberLanguage: LanguageMemory?,
        readiness: ReadinessProbe?, representing: Representing?
    ) {
        self.configuration = configuration
        cookies = CookieNames(baseURL: configuration.baseURL)
        catalogues = files.catalogues
        formatters = files.formatters
        templates = files.templates
        assets = files.assets
        problemTypes = files.problemTypes
        self.resolve = resolve
        self.navigation = navigation
        self.taskSources = taskSources
        self.staffTaskSources = staffTaskSources
        self.ownData = ownData
        self.pageTypes = pageTypes
        self.routes = routes
        self.rememberLanguage = rememberLanguage
        self.readiness = readiness
        self.representing = representing
    }

    /// Every language has a catalogue once the site is built; the fallback serves tests that load fewer.
    func catalogue(_ language: Language) -> Catalogue {
        catalogues[language] ?? Catalogue(language: language, texts: [:])
    }

    func formatter(_ language: Language) -> PageFormat {
        formatters[language] ?? PageFormat(catalogue: catalogue(language), zone: CityTime(configuration.timeZone))
    }
}

/// What is read from the root directory at start-up.
struct SiteFiles: Sendable {
    let catalogues: [Language: Catalogue]
    let formatters: [Language: PageFormat]
    let templates: Templates
    let assets: Assets
    /// The slugs that the OpenAPI document describes.
    let problemTypes: Set<String>

    /// - Throws: what is wrong with the first bad file: `Catalogue.Failure`, `TemplateFailure`, `Assets.Failure`.
    init(configuration: WebConfiguration) throws {
        let root = configuration.rootDirectory
        var catalogues: [Language: Catalogue] = [:]
        for language in Language.allCases {
            catalogues[language] = try Catalogue(language: language, directory: "\(root)/config/locales/\(language.tag)")
        }
        self.catalogues = catalogues
        let zone = CityTime(configuration.timeZone)
        formatters = catalogues.mapValues { PageFormat(catalogue: $0, zone: zone) }
        templates = try Templates(directory: "\(root)/templates", catalogues: catalogues)
        assets = try Assets(directory: "\(root)/assets")
        problemTypes = OpenAPIDocument.problemTypes(file: root + OpenAPIDocument.file)
    }
}
