truncate library.authors, library.books, library.shelves, library.books_shelves, library."odd, names", archive.notes
    restart identity;
insert into library.authors values
    (1, 'Ada Berg', '1950-02-03', '{prose,"short, stories"}', '{"city": "Oslo", "awards": [1, 2]}', true, 'glad'),
    (2, 'Bo Crane', '1961-07-01', '{verse}', '{"city": "Rome"}', false, 'sad'),
    (3, 'Cy (the "Elder")', null, '{}', '{}', null, null);
insert into library.books (title, author, isbn, price, pages) values
    ('The Quiet Cats', 1, 'A-1', 10.50, '[1,100)'),
    ('Running Home', 1, 'A-2', 20.00, '[100,200)'),
    ('Fat Rats', 2, 'B-1', 5.25, '[200,300)'),
    ('No Author', null, null, null, null);
insert into library.shelves values (1, 'Window'), (2, 'Cellar'), (3, 'Empty');
insert into library.books_shelves values (1, 1), (1, 2), (2, 1), (3, 2);
insert into library."odd, names" values (1, 'x', 'y', 'z', 'w'), (2, 'a,b', 'c.d', 'e:f', '(g)');
insert into archive.notes values (1, 'old');
