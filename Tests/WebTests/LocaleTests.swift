// The texts: every language has the same keys and placeholders, plurals follow CLDR, and dates read as people write them.
import Foundation
import Postgres
import Testing

@testable import Web

@Suite struct LocaleTests {
    private static func catalogues() throws -> [Language: Catalogue] {
        var catalogues: [Language: Catalogue] = [:]
        for language in Language.allCases {
            catalogues[language] = try Catalogue(language: language, directory: "\(checkout)/config/locales/\(language.tag)")
        }
        return catalogues
    }

    /// A key without its plural category, when it has one.
    private static func base(_ key: String) -> String {
        guard let dot = key.lastIndex(of: "."), PluralCategory(rawValue: String(key[key.index(after: dot)...])) != nil else { return key }
        return String(key[..<dot])
    }

    private static func isPlural(_ key: String) -> Bool { base(key) != key }

    @Test func everyTextExistsInEveryLanguage() throws {
        let catalogues = try Self.catalogues()
        let english = try #require(catalogues[.english])
        for language in Language.allCases {
            let catalogue = try #require(catalogues[language])
            let missing = Set(english.keys.filter { !Self.isPlural($0) }).subtracting(catalogue.keys)
            let surplus = Set(catalogue.keys.filter { !Self.isPlural($0) }).subtracting(english.keys)
            #expect(missing.isEmpty, "\(language.tag) lacks \(missing.sorted())")
            #expect(surplus.isEmpty, "\(language.tag) has, and English lacks, \(surplus.sorted())")
        }
    }

    /// The categories of plural that a language's whole numbers have (CLDR 48, cardinal rules).
    private static func pluralCategories(of language: Language) -> [PluralCategory] {
        switch language {
        case .english: [.one, .other]
        case .french: [.one, .many, .other]
        case .arabic: PluralCategory.allCases
        }
    }

    @Test func everyPluralHasTheCategoriesOfItsLanguage() throws {
        let catalogues = try Self.catalogues()
        let bases = Set(catalogues.values.flatMap { $0.keys.filter(Self.isPlural).map(Self.base) })
        for (language, catalogue) in catalogues {
            for base in bases {
                for category in Self.pluralCategories(of: language) {
                    #expect(catalogue.raw("\(base).\(category.rawValue)") != nil, "\(language.tag) lacks \(base).\(category.rawValue)")
                }
            }
        }
    }

    @Test func everyTextHasTheSamePlaceholdersInEveryLanguage() throws {
        let catalogues = try Self.catalogues()
        let english = try #require(catalogues[.english])
        for (language, catalogue) in catalogues {
            for key in english.keys where !Self.isPlural(key) {
                guard let text = catalogue.raw(key), let original = english.raw(key) else { continue }
                #expect(
                    Set(Catalogue.placeholders(in: text)) == Set(Catalogue.placeholders(in: original)), "\(key) in \(language.tag): \(text)"
                )
            }
        }
    }

    @Test func noTextIsEmptyOrForgotten() throws {
        for (language, catalogue) in try Self.catalogues() {
            for key in catalogue.keys {
                let text = catalogue.raw(key) ?? ""
                #expect(!text.isEmpty, "\(key) in \(language.tag) is empty")
                #expect(!text.contains("‹"), "\(key) in \(language.tag) looks unfinished: \(text)")
            }
        }
    }

    /// An ordinary space there lets the sign begin the next line.
    @Test func frenchSignsKeepToTheirWord() throws {
        let catalogue = try #require(try Self.catalogues()[.french])
        for key in catalogue.keys {
            let text = catalogue.raw(key) ?? ""
            for torn in [" :", " ;", " ?", " !", " »", "« "] { #expect(!text.contains(torn), "\(key): \(text)") }
        }
    }

    @Test func frenchApostrophesAreCurved() throws {
        let catalogue = try #require(try Self.catalogues()[.french])
        for key in catalogue.keys { #expect(!(catalogue.raw(key) ?? "").contains("'"), "\(key): \(catalogue.raw(key) ?? "")") }
    }

    @Test func mistakesInACatalogueAreFoundWhenItIsRead() throws {
        let folder = NSTemporaryDirectory() + "catalogue-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func read(_ yaml: String) throws -> Catalogue {
            try yaml.write(toFile: folder + "/a.yaml", atomically: true, encoding: .utf8)
            return try Catalogue(language: .english, directory: folder)
        }
        #expect(try read("b:\n  c: \"text {name}\"\n  no: No\n").keys == ["a.b.c", "a.b.no"])
        #expect(throws: Catalogue.Failure.mustacheInText(key: "a.b")) { try read("b: \"{{name}}\"") }
        #expect(throws: Catalogue.Failure.mustacheInText(key: "a.b")) { try read("b: \"[[name]]\"") }
        #expect(throws: Catalogue.Failure.self) { try read("b: [1, 2]") }
        #expect(throws: Catalogue.Failure.self) { try read("b: x\nb: y") }
        #expect(throws: Catalogue.Failure.self) { try Catalogue(language: .english, directory: folder + "/none") }
    }

    @Test(arguments: [
        (Language.english, [0: "other", 1: "one", 2: "other", 11: "other"]),
        (.french, [0: "one", 1: "one", 2: "other", 1_000_000: "many", 1_000_001: "other"]),
        (
            .arabic,
            [
                0: "zero", 1: "one", 2: "two", 3: "few", 10: "few", 11: "many", 99: "many", 100: "other", 102: "other", 103: "few",
                111: "many",
            ]
        ),
    ])
    func pluralsFollowCLDR(language: Language, expected: [Int: String]) {
        for (count, category) in expected {
            #expect(language.pluralCategory(of: count).rawValue == category, "\(count) in \(language.tag)")
        }
    }

    @Test func placeholdersAreFilledAndEscapedWhereTheyMustBe() throws {
        let catalogue = Catalogue(
            language: .english,
            texts: ["a.hello": "Hello {name} & {other}", "a.n.one": "{count} task", "a.n.other": "{count} tasks of {who}"])
        #expect(catalogue.text("a.hello", ["name": "<b>", "other": "{name}"]) == "Hello <b> & {name}")
        #expect(catalogue.text("a.n", count: 1) == "1 task")
        #expect(catalogue.text("a.n", count: 2, ["who": "Ada"]) == "2 tasks of Ada")
        #expect(catalogue.text("a.none") == "‹a.none›")
        let localised = try Templates.localise("<p>[[a.hello]]|[[.a.hello]]|[[csrf]]</p>", template: "t", catalogue: catalogue)
        #expect(
            localised
                == "<p>Hello {{name}} &amp; {{other}}|Hello {{.name}} &amp; {{.other}}|<input type=\"hidden\" name=\"form_token\" value=\"{{form_token}}\"></p>"
        )
        #expect(throws: Catalogue.Failure.missingText(key: "a.none", language: "en")) {
            try Templates.localise("[[a.none]]", template: "t", catalogue: catalogue)
        }
    }

    @Test func textsOfARegisterFallBackToEnglish() throws {
        let text = try LocalisedText(JSONText(#"{"en": "Bin", "fr": "Poubelle \u00e9", "n": 1}"#))
        #expect(text.text(.french) == "Poubelle é" && text.text(.arabic) == "Bin")
        #expect(throws: DatabaseError.self) { try LocalisedText(JSONText("[1")) }
        #expect(try LocalisedText(LocalisedText([.english: "a\"b", .arabic: "ب"]).json).text(.arabic) == "ب")
    }

    @Test func datesReadAsPeopleWriteThem() throws {
        let zone = CityTime(try #require(TimeZone(identifier: "Europe/Paris")))
        let catalogues = try Self.catalogues()
        func formatter(_ language: Language) throws -> PageFormat { PageFormat(catalogue: try #require(catalogues[language]), zone: zone) }
        let summer = Date(timeIntervalSince1970: 1_782_860_400)  // 2026-06-30T23:00:00Z, already July in Paris
        #expect(try formatter(.english).dateTime(summer) == "1 July 2026, 01:00")
        #expect(try formatter(.french).dateTime(summer) == "1er juillet 2026 à 01:00")
        #expect(try formatter(.arabic).dateTime(summer) == "1 يوليو 2026، الساعة 01:00")
        #expect(try formatter(.english).day(Date(timeIntervalSince1970: 0)) == "1 January 1970")
        #expect(try formatter(.english).number(-1_234_567) == "-1,234,567")
        #expect(try formatter(.french).number(1_234) == "1\u{202F}234")
        #expect(try formatter(.english).list(["a", "b", "c"]) == "a, b and c")
        #expect(try formatter(.arabic).list(["أ", "ب", "ج"]) == "أ، ب وج")
        #expect(try formatter(.french).list(["a"]) == "a")
    }

    /// The wall clock agrees with Foundation's calendar across changes of the clock, before 1970 and after 2038.
    @Test func theCityClockAgreesWithTheCalendar() throws {
        for name in ["Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca", "UTC"] {
            let timeZone = try #require(TimeZone(identifier: name))
            var calendar = Calendar(identifier: .gregorian)
            calendar.timeZone = timeZone
            let city = CityTime(timeZone)
            var generator = SystemRandomNumberGenerator()
            for _ in 0..<500 {
                let moment = Date(timeIntervalSince1970: Double(Int64.random(in: -1_000_000_000...3_000_000_000, using: &generator)))
                let expected = calendar.dateComponents([.year, .month, .day, .hour, .minute], from: moment)
                let parts = city.parts(of: moment)
                #expect(
                    [parts.year, parts.month, parts.day, parts.hour, parts.minute]
                        == [expected.year, expected.month, expected.day, expected.hour, expected.minute], "\(moment) in \(name)")
            }
        }
    }
}
